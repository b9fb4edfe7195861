"""Simulator: a store that writes perfect recordings. In: a store, a scenario, a seed. Out: messages and truth. Never: reads the model."""
