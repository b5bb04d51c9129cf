"""The search for the target layer: the last feature map on which the scores depend at every position."""
