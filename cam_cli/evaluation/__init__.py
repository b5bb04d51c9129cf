"""Scores of maps against boxes and masks, from a finished folder: do they lie where the objects are? numpy only."""
