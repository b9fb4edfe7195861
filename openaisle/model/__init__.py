"""Model: the foundation model (torch, one device). In: token arrays. Out: tracks, events, task outputs. Never: disk."""
