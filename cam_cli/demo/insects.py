"""Butterfly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .palette import Palette, mix
from .shapes import Colour, Part, Points, ellipse, moved, spline, stroke


def _wing_shapes(rng: np.random.Generator) -> tuple[Points, Points, list[Points]]:
    """Right fore wing, right hind wing and the spots on them."""
    top, out, low = rng.uniform(0.75, 0.95), rng.uniform(0.95, 1.25), rng.uniform(0.75, 1.0)
    fore = [(0.0, -0.6), (0.34, -0.86 * top), (0.85 * out, -top), (out, -0.68 * top)]
    fore += [(0.9 * out, -0.1), (0.4, 0.14), (0.0, 0.1)]
    hind = [(0.0, 0.0), (0.5, -0.04), (0.88 * out, 0.08)]
    if rng.random() < 0.35:
        hind += [(0.74, 0.55 * low), (0.6, low + rng.uniform(0.15, 0.3)), (0.42, 0.86 * low), (0.14, 0.74 * low)]
    else:
        hind += [(0.84 * out, 0.5 * low), (0.52, low), (0.2, 0.8 * low)]
    spots = [(0.58 * out, -0.62 * top), (rng.uniform(0.6, 0.8) * out, -0.32 * top), (0.52, 0.4 * low)]
    dots = [ellipse(x, y, r, r * 1.15) for (x, y), r in zip(spots, rng.uniform(0.06, 0.13, 3), strict=True)]
    return spline(fore), spline([*hind, (0.0, 0.4)]), dots


def _veins(wing: Points, root: tuple[float, float], tone: Colour) -> list[Part]:
    """Fine lines that fan out from the ``root`` of a wing towards its rim."""
    rim = wing[:: len(wing) // 9][2:-1]
    ends = np.asarray(root) + (rim - root) * 0.86
    return [Part(stroke([root, (root + end) / 2 + (0.0, 0.03), end], (0.05, 0.025)), tone, 0, 0) for end in ends]


def _trunk(p: Palette) -> list[Part]:
    """Furry ringed body, head and antennae."""
    parts = []
    for side in (-1, 1):
        way = [(side * 0.05, -0.7), (side * 0.1, -0.86), (side * 0.18, -0.94)]
        parts.append(Part(stroke(way, (0.06, 0.05)), p.dark, 0, 0))
        parts.append(Part(ellipse(side * 0.19, -0.95, 0.065, 0.065), p.dark, 0, 0))
    tone = mix(p.dark, p.main, 0.15)
    parts.append(Part(stroke([(0, -0.5), (0, 0.1), (0, 0.74)], (0.27, 0.3, 0.15)), tone, 0, 0.9))
    for y, reach in ((-0.02, 0.12), (0.18, 0.11), (0.38, 0.09), (0.56, 0.07)):
        ring = stroke([(-reach, y), (0, y + 0.03), (reach, y)], (0.05, 0.06, 0.05))
        parts.append(Part(ring, mix(tone, p.light, 0.45), 0, 0))
    return [*parts, Part(ellipse(0, -0.64, 0.19, 0.17), p.dark, 0, 0.8)]


def butterfly(rng: np.random.Generator, p: Palette) -> list[Part]:
    """From above: two pairs of rimmed, veined, spotted wings, a furry body, antennae."""
    rim = mix(p.second, p.dark, rng.uniform(0.3, 0.9))
    fore, hind, spots = _wing_shapes(rng)
    near, far = rng.uniform(0.85, 1.0), rng.uniform(0.5, 1.0)
    parts = []
    for flip, squeeze in ((True, far), (False, near)):
        for wing, tone, root in ((hind, mix(p.main, p.accent, 0.45), (0.08, 0.18)), (fore, p.main, (0.08, -0.3))):
            middle = wing.mean(0)
            inner = (wing - middle) * 0.83 + middle * (0.96, 1.0)
            parts.append(Part(moved(wing, flip=flip) * (squeeze, 1.0), rim, 0.0, 0.6))
            parts.append(Part(moved(inner, flip=flip) * (squeeze, 1.0), tone, 0.7, 0.6))
            for vein in _veins(inner, root, mix(tone, rim, 0.75)):
                parts.append(replace(vein, outline=moved(vein.outline, flip=flip) * (squeeze, 1.0)))
        parts += [Part(moved(spot, flip=flip) * (squeeze, 1.0), p.light, 0, 0) for spot in spots]
    return parts + _trunk(p)
