"""Training: simulations become weights. In: recipes. Out: weights and curves. Never: runs in the shop."""
