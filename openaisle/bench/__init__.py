"""Bench: CheckoutBench, every system on the same seeded shops in one table.

In: a plan (stores × scenarios × seeds) and models. Out: scores with intervals, tables, JSON. Never: training or tuning.
"""
