"""Logs run folders to Weights & Biases or TensorBoard, while a run goes or afterwards.

May import `training` and all layers below it, but not `distributed`."""
