"""Model: the foundation model (torch, single-device code). In: token arrays. Out: tracks, events, auxiliary outputs. Never: disk."""
