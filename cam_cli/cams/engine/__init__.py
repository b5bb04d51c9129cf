"""The engine: batches of images become explanations."""
