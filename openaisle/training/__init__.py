"""Training: recordings and simulations become weights. In: recipes. Out: safetensors and curves. Never: runs in the shop."""
