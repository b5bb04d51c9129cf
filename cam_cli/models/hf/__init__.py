"""Loads networks of the transformers library from a folder or the Hugging Face hub. Never runs code from there."""
