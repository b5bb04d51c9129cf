"""Bird and fish."""

from __future__ import annotations

import numpy as np

from .faces import eyes
from .palette import Palette, mix
from .shapes import Colour, Part, ellipse, spline, stroke


def _wing(rng: np.random.Generator, p: Palette, folded: bool) -> list[Part]:
    """Folded along the body or raised in flight; feathers as overlapping strokes."""
    tone = mix(p.main, p.second, 0.6)
    if folded:
        blade = spline([(0.25, -0.12), (0.1, 0.28), (-0.4, 0.4), (-0.98, 0.3), (-0.5, -0.02), (-0.1, -0.2)])
        parts = [Part(blade, tone, 0.6)]
        for drop in (0.0, 0.11, 0.22):
            feather = [(0.02, 0.0 + drop), (-0.35, 0.12 + drop * 0.8), (-0.78, 0.22 + drop * 0.4)]
            parts.append(Part(stroke(feather, (0.03, 0.02)), mix(tone, p.dark, 0.5), 0, 0))
        return parts
    lift = rng.uniform(0.75, 1.15)
    parts = []
    for k in range(5):
        tip = (-0.35 - 0.17 * k, -lift * (1.15 - 0.19 * k))
        quill = [(0.12 - 0.08 * k, 0.05), (-0.05 - 0.12 * k, tip[1] * 0.55), tip]
        parts.append(Part(stroke(quill, (0.26, 0.24, 0.1)), mix(tone, p.dark, 0.3 - 0.05 * k), 0.2))
    arm = spline(
        [
            (0.36, 0.02),
            (0.2, -lift * 0.55),
            (-0.12, -lift * 0.98),
            (-0.2, -lift * 0.6),
            (-0.4, -0.05),
            (0.0, 0.2),
        ]
    )
    return [*parts, Part(arm, tone, 0.7)]


def _legs(fill: Colour) -> list[Part]:
    parts = []
    for x in (-0.12, 0.12):
        toes = [(x - 0.12, 0.98), (x, 0.94), (x + 0.2, 0.98)]
        parts.append(Part(stroke([(x, 0.5), (x + 0.03, 0.78), (x, 0.95)], (0.07, 0.05)), fill, 0, 0.3))
        parts.append(Part(stroke(toes, (0.04, 0.05, 0.03)), fill, 0, 0))
    return parts


def _bird_head(rng: np.random.Generator, p: Palette, x: float, y: float, r: float, beak: Colour) -> list[Part]:
    """Head of radius ``r`` at (x, y): beak ajar, perhaps a crest, one eye."""
    gape, long = rng.uniform(0.0, 0.12), rng.uniform(0.3, 0.52)
    root, parts = x + r * 0.8, []
    for k, tone in ((1, mix(beak, p.dark, 0.25)), (-1, beak)):
        bill = [(root, y + k * 0.13), (root + long * 0.5, y + k * (0.07 + gape * 0.5))]
        bill += [(root + long, y + k * gape + 0.04), (root, y + 0.03)]
        parts.append(Part(spline(bill), tone, 0, 0.6))
    if rng.random() < 0.35:
        crest = [(x - 0.25, y - r * 0.6), (x - 0.4, y - r * 1.7), (x, y - r * 1.25), (x + 0.2, y - r * 0.7)]
        parts.append(Part(spline(crest), p.second, 0, 0.7))
    parts.append(Part(ellipse(x, y, r * 1.05, r), p.main, 0.5))
    parts.append(Part(ellipse(x + 0.13, y - 0.05, 0.12, 0.12), p.light, 0, 0))
    return parts + eyes(p, 0.0, y - 0.05, 0.085, x + 0.13)[:2]


def bird(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Songbird from the side: round head, pointed beak, wing, fanned tail, thin legs."""
    beak = mix((235, 165, 60), p.accent, rng.uniform(0.0, 0.4))
    parts = []
    spread = rng.uniform(0.08, 0.26)
    for k in (-1.0, 0.0, 1.0):
        feather = [(-0.6, 0.16), (-1.1, 0.12 + k * spread * 0.6), (-1.5 + 0.06 * abs(k), 0.1 + k * spread)]
        parts.append(Part(stroke(feather, (0.2, 0.2, 0.14)), p.second))
    perched = bool(rng.random() < 0.6)
    if perched:
        parts += _legs(beak)
    x, y, r = rng.uniform(0.58, 0.7), rng.uniform(-0.55, -0.4), rng.uniform(0.32, 0.38)
    trunk = [(-0.85, 0.14), (-0.3, -0.2), (x - 0.35, y + 0.1), (x + 0.25, y + 0.15), (0.72, 0.1)]
    trunk += [(0.4, 0.5), (-0.1, 0.58), (-0.55, 0.38)]
    parts.append(Part(spline(trunk), p.main, 0.9))
    breast = spline([(0.72, 0.0), (0.5, 0.42), (-0.05, 0.54), (0.2, 0.25), (0.5, -0.05)])
    parts.append(Part(breast, mix(p.light, p.accent, 0.3), 0, 0.5))
    return parts + _bird_head(rng, p, x, y, r, beak) + _wing(rng, p, perched)


def _fins(rng: np.random.Generator, deep: float, fin: Colour) -> list[Part]:
    """Forked tail, back fin and belly fin of a body ``deep`` high above and below its axis."""
    fork = rng.uniform(0.42, 0.68)
    tail = [
        (-0.78, 0.0),
        (-1.12, -fork * 0.7),
        (-1.45, -fork),
        (-1.26, 0.0),
        (-1.45, fork),
        (-1.12, fork * 0.7),
    ]
    crest = rng.uniform(0.25, 0.5)
    back = [(0.45, -deep * 0.75), (0.1, -deep - crest), (-0.35, -deep - crest * 0.7)]
    back += [(-0.62, -deep * 0.4), (-0.1, -deep * 0.6)]
    belly = [(0.0, deep * 0.8), (-0.25, deep + crest * 0.7), (-0.5, deep + crest * 0.35), (-0.5, deep * 0.45)]
    return [Part(spline(tail), fin, 0.3), Part(spline(back), fin, 0.3), Part(spline(belly), fin, 0.0)]


def fish(rng: np.random.Generator, p: Palette) -> list[Part]:
    """From the side: forked tail, fins, gill line, round eye."""
    deep = rng.uniform(0.38, 0.72)
    fin = mix(p.second, p.accent, 0.4)
    parts = _fins(rng, deep, fin)
    body = [(0.98, 0.04), (0.75, -deep * 0.6), (0.2, -deep), (-0.4, -deep * 0.72), (-0.86, -0.13)]
    body += [(-0.86, 0.13), (-0.4, deep * 0.72), (0.2, deep), (0.72, deep * 0.66)]
    parts.append(Part(spline(body), p.main, 1.0))
    belly = [(0.9, 0.12), (0.4, 0.22), (-0.3, 0.16), (-0.7, 0.1), (-0.35, deep * 0.6), (0.2, deep * 0.88)]
    parts.append(Part(spline([*belly, (0.66, deep * 0.62)]), mix(p.main, p.light, 0.7), 0.3, 0.2))
    gill = [(0.5, -deep * 0.55), (0.36, 0.0), (0.48, deep * 0.55)]
    parts.append(Part(stroke(gill, (0.025, 0.06, 0.025)), mix(p.main, p.dark, 0.6), 0, 0))
    flap = spline([(0.28, 0.06), (0.05, -0.08), (-0.2, 0.1), (-0.12, 0.3), (0.12, 0.26)])
    parts.append(Part(flap, fin, 0, 0.9))
    parts.append(Part(stroke([(0.96, 0.08), (0.84, 0.14), (0.76, 0.12)], (0.04, 0.03)), p.dark, 0, 0))
    parts.append(Part(ellipse(0.66, -deep * 0.26, 0.135, 0.135), (246, 243, 232), 0, 0.3))
    return parts + eyes(p, 0.0, -deep * 0.26, 0.075, 0.68)[:2]
