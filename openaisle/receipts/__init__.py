"""Receipts: events become a ledger, the ledger a basket, the basket a priced receipt.

In: ledger events with evidence and confidence; a store's prices. Out: receipts, receipts.json, pages, scores.
Never: torch, the network, a clock, or a float as an amount of money.
"""
