"""Receipts: events become a ledger, a basket, a receipt. In: events with evidence. Out: money in cents. Never: torch, sockets."""
