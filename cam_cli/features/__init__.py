"""Feature maps of a layer as sheets of heatmaps and as numbers, in a run or while training."""
