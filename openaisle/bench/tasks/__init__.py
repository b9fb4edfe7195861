"""Auxiliary tasks of the network, each in its field's metric beside a trivial baseline (`aisle bench tasks`)."""
