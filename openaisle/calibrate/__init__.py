"""Calibrate: where cameras hang and how they see. In: films of boards, tags or people. Out: cameras in store.yaml.

Never: anything else of a store, or a pose that the evidence does not carry.
"""
