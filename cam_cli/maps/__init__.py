"""Normalises, places, measures and colours class activation maps as arrays. Uses numpy only.

May import `images`, `options`, `errors` and layers below, so that drawing workers and the report never load torch."""
