"""Stress: a whole live store under kills and under load. In: a plan. Out: a report with claims. Never: part of a shop.

A room of its own because it needs the service extra, which the benchmark does not.
"""
