"""Explains networks that write text about an image: captions with a map for each word, answers with a map for each.

May import `cams`, `models`, `outputs`, `maps`, `images` and layers below.
"""
