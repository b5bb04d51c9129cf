"""Exports boxes, polygons, points and masks of maps as files for labelling tools. Uses numpy only.

May import `evaluation`, `outputs`, `maps`, `images` and layers below."""
