"""Writes the files of a run atomically (images, journal, tables, record), and reads run folders with checks.

May import `maps`, `images`, `options`, `errors` and layers below. Imports no torch."""
