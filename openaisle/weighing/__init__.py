"""Weighing: what scales that have come to rest say of what happened, with the decoder's events as testimony.

In: samples of all scales, everybody's hands, what was written meanwhile. Out: takes and returns, each with its chances
of who it was. Never: pictures, the ledger.
"""
