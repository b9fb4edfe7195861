"""Modular: the previous generation: detect, track, weigh, identify, count, associate.

In: a recording. Out: receipts, without a network. So far it weighs, identifies and counts for a single visit, from
scales alone. Never: looks at pictures, or tells two shoppers apart.
"""
