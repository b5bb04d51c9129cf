"""Loads networks of images and texts of the open_clip library as classifiers of named classes."""
