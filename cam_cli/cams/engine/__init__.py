"""The engine: explains batches of images."""
