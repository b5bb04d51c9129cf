"""Turns `--model` and `--checkpoint` into a network with its weights, preprocessing and class names.

May import `images`, `options` and layers below. Hooks are only in `hooks.py`."""
