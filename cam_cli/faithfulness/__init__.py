"""Measures faithfulness: whether the score of a class depends on the regions in its map. Runs the network again.

May import `cams`, `models`, `images`, `evaluation`, `outputs` and layers below."""
