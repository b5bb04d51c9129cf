"""Finds the images that a command names, and decodes them into network inputs and canvases. Imports no torch.

May import `options`, `errors`, `parsers` and other files of the lowest storeys."""
