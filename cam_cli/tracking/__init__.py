"""Results in Weights & Biases or TensorBoard: what is logged of a run, and the trackers that take it."""
