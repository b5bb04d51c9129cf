"""Scores the maps of a finished folder against boxes and masks, and reads scores of faithfulness. Uses numpy only.

May import `outputs`, `maps`, `images`, `gates`, `statistics` and layers below."""
