"""Api: the service over HTTP (OpenAPI 3.1). In: requests with a key or a link. Out: JSON, pages, streams, problems.

Never: a decision of its own; what happens is in entries.py, visits.py, till.py, amends.py, cashier.py.
"""
