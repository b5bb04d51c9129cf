"""Batches of images in, explanations out."""
