"""One forward of a network, the graph of its head, and further runs of it."""
