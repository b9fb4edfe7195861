"""Service: the live store: visits, receipts and money in a database, an API, and the processes behind them.

In: a stream of sensor messages, requests of gates, people and payment networks. Out: one final receipt and at most one
capture per visit, live receipts, webhooks. Never: torch, a number without its ledger entry, a rewritten entry.
"""
