"""Boxes, polygons, points and masks of the maps of a run, as files for labelling tools. numpy only."""
