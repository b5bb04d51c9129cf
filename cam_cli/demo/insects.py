"""Butterfly."""

from __future__ import annotations

import numpy as np

from .palette import Palette, mix
from .shapes import Part, Points, ellipse, moved, spline, stroke


def _wing_shapes(rng: np.random.Generator) -> tuple[Points, Points, list[Points]]:
    """Right fore wing, right hind wing and the spots on them."""
    top, out, low = rng.uniform(0.75, 1.0), rng.uniform(0.95, 1.25), rng.uniform(0.7, 1.0)
    fore = [(0.04, -0.55), (0.3, -0.8 * top), (0.85 * out, -top), (out, -0.68 * top)]
    fore += [(0.85 * out, -0.1), (0.4, 0.1), (0.05, 0.0)]
    hind = [(0.05, 0.02), (0.5, 0.0), (0.85 * out, 0.12)]
    if rng.random() < 0.35:
        hind += [(0.7, 0.55 * low), (0.62, low + rng.uniform(0.2, 0.4)), (0.48, 0.72 * low)]
    else:
        hind += [(0.82 * out, 0.5 * low), (0.5, low), (0.25, 0.7 * low)]
    spots = [(0.58 * out, -0.62 * top), (rng.uniform(0.6, 0.8) * out, -0.32 * top), (0.52, 0.4 * low)]
    dots = [ellipse(x, y, r, r * 1.15) for (x, y), r in zip(spots, rng.uniform(0.06, 0.13, 3), strict=True)]
    return spline(fore), spline([*hind, (0.05, 0.2)]), dots


def _trunk(p: Palette) -> list[Part]:
    """Slender body, head and antennae."""
    parts = []
    for side in (-1, 1):
        way = [(side * 0.05, -0.66), (side * 0.12, -0.82), (side * 0.24, -0.92)]
        parts.append(Part(stroke(way, (0.05, 0.04)), p.dark, 0, 0))
        parts.append(Part(ellipse(side * 0.25, -0.93, 0.06, 0.06), p.dark, 0, 0))
    body = stroke([(0, -0.5), (0, 0.1), (0, 0.68)], (0.19, 0.22, 0.1))
    return [
        *parts,
        Part(body, mix(p.dark, p.main, 0.15), 0, 0.9),
        Part(ellipse(0, -0.62, 0.15, 0.14), p.dark, 0, 0.8),
    ]


def butterfly(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Seen from above: two pairs of rimmed, spotted wings, slender body, antennae."""
    rim = mix(p.second, p.dark, rng.uniform(0.3, 0.9))
    fore, hind, spots = _wing_shapes(rng)
    near, far = rng.uniform(0.85, 1.0), rng.uniform(0.5, 1.0)
    parts = []
    for flip, squeeze in ((True, far), (False, near)):
        for wing, tone in ((hind, mix(p.main, p.accent, 0.45)), (fore, p.main)):
            middle = wing.mean(0)
            inner = (wing - middle) * 0.83 + middle * (0.96, 1.0)
            parts.append(Part(moved(wing, flip=flip) * (squeeze, 1.0), rim, 0.0, 0.6))
            parts.append(Part(moved(inner, flip=flip) * (squeeze, 1.0), tone, 0.7, 0.6))
        parts += [Part(moved(spot, flip=flip) * (squeeze, 1.0), p.light, 0, 0) for spot in spots]
    return parts + _trunk(p)
