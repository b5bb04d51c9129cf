"""Results in Weights & Biases or TensorBoard: values from a run folder, and the trackers that take them."""
