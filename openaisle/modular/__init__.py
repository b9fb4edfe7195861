"""Modular: the previous generation: weigh, split, identify, count, associate, by rules and laws, without a decoder.

In: a recording of one visit and its scales alone (alone.py), or a tick's tracks and scales (peer.py, behind the
pipeline, on another predictor's eyes). Out: receipts, or events for the ledger. Never: looks at pictures itself.
"""
