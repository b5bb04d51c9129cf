"""Looking inside: feature maps of a layer as sheets of pictures and as numbers, in a run or while training."""
