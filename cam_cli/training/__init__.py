"""Trains a network whose class activation maps are exact: data, cached features, the loop, the output files.

May import `pipeline` and all layers below it."""
