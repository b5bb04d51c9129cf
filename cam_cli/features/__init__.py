"""Reads feature maps of a layer as sheets of heatmaps and as numbers, in a run or during a training.

May import `cams`, `models`, `outputs`, `maps`, `images` and layers below."""
