"""Modular: the previous generation: weigh, split, identify, count, associate, by rules and laws, without a decoder.

In: a recording of one visit and its scales alone (alone.py); or, behind the pipeline, a tick's tracks and scales, on
another predictor's eyes (peer.py) or its own detector's and tracker's (eyes.py). Out: receipts, or events for the
ledger. Never: runs a graph itself, or asks the network who somebody is (eyes.py).
"""
