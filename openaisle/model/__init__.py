"""Model: the foundation model (torch, one device). In: token arrays. Out: tracks, events, auxiliary outputs. Never: disk."""
