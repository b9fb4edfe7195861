"""Simulator: a store that writes perfect recordings. In: store, scenario, seed. Out: messages, truth. No model."""
