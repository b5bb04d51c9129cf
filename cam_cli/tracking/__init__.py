"""Logs run folders to Weights & Biases or TensorBoard, while a run goes or afterwards.

May import `training` and every room below it, but not `distributed`."""
