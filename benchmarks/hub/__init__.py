"""The census of image classifiers of transformers."""
