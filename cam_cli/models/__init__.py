"""Which network: names to modules, weights to tensors, preprocessing and class names that belong to them."""
