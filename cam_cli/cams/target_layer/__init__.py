"""The search for the target layer: the last feature map that the scores depend on at every position."""
