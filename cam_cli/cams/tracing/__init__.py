"""One forward of a network and the graph of its head."""
