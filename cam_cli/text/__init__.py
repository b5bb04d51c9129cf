"""Explains networks that write text about an image: captions with a map for each word.

May import `cams`, `models`, `outputs`, `maps`, `images` and files below."""
