"""From a command-line argument to pixels. Nothing in here imports torch, so that workers stay small."""
