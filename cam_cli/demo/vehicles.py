"""Boat and car."""

from __future__ import annotations

import numpy as np

from .palette import Palette, mix
from .shapes import Part, box, corners, ellipse, spline, stroke

_GLASS = (176, 205, 214)


def _sails(rng: np.random.Generator, p: Palette) -> list[Part]:
    mast = rng.uniform(-0.1, 0.15)
    top = rng.uniform(-1.15, -0.95)
    cloth = mix(p.light, p.second, rng.choice([0.05, 0.8]))
    parts = [Part(box(mast - 0.035, top, mast + 0.035, 0.5), mix(p.dark, (150, 110, 70), 0.6), 0, 0.8)]
    parts.append(
        Part(
            spline(
                [
                    (mast - 0.06, top + 0.08),
                    (mast - 0.07, 0.3),
                    (mast - 0.45, 0.32),
                    (mast - 0.85, 0.28),
                    (mast - 0.42, -0.25),
                ],
                steps=9,
            ),
            cloth,
            0.8,
            0.7,
        )
    )
    if rng.random() < 0.75:
        jib = spline(
            [
                (mast + 0.06, top + 0.3),
                (mast + 0.08, 0.3),
                (mast + 0.42, 0.3),
                (mast + 0.72, 0.26),
                (mast + 0.36, -0.2),
            ]
        )
        parts.append(Part(jib, mix(cloth, p.accent, 0.5), 0.3, 0.7))
    flag = corners([(mast, top - 0.02), (mast + 0.3, top + 0.07), (mast, top + 0.16)])
    return [*parts, Part(flag, p.accent, 0, 0)]


def _cabin(rng: np.random.Generator, p: Palette) -> list[Part]:
    x0, x1, top = rng.uniform(-0.7, -0.5), rng.uniform(0.15, 0.4), rng.uniform(-0.15, 0.0)
    pipe = x0 + rng.uniform(0.2, 0.5)
    parts = [Part(box(pipe, top - 0.55, pipe + 0.24, top + 0.1), p.accent, 0, 1.0)]
    parts.append(Part(box(pipe - 0.02, top - 0.45, pipe + 0.26, top - 0.32), p.light, 0, 0))
    parts.append(Part(box(x0, top, x1, 0.5, 0.05), mix(p.light, p.second, 0.25), 0.4, 0.6))
    parts.append(Part(box(x0 - 0.07, top - 0.05, x1 + 0.07, top + 0.05, 0.03), p.second, 0, 0.6))
    for x in np.linspace(x0 + 0.17, x1 - 0.17, 3):
        parts.append(Part(ellipse(float(x), (top + 0.42) / 2, 0.095, 0.095), p.dark, 0, 0))
        parts.append(Part(ellipse(float(x), (top + 0.42) / 2, 0.07, 0.07), _GLASS, 0, 0))
    return parts


def boat(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Hull with sails, or with a cabin and funnel."""
    deck = rng.uniform(0.36, 0.46)
    parts = _sails(rng, p) if rng.random() < 0.6 else _cabin(rng, p)
    bow = rng.uniform(1.05, 1.25)
    hull = [
        (-1.02, deck),
        (-0.4, deck + 0.05),
        (0.3, deck + 0.04),
        (bow, deck - 0.12),
        (0.95, 0.7),
        (0.7, 0.95),
        (-0.7, 0.97),
        (-0.92, 0.75),
    ]
    parts.append(Part(spline(hull, steps=5), p.main, 0.8))
    low = [(-0.87, 0.8), (0.0, 0.84), (0.87, 0.8), (0.7, 0.95), (0.0, 0.985), (-0.7, 0.97)]
    parts.append(Part(spline(low), mix(p.second, p.dark, 0.3), 0, 0.5))
    rail = [(-1.03, deck), (-0.4, deck + 0.05), (0.3, deck + 0.04), (bow, deck - 0.12)]
    parts.append(Part(stroke(rail, (0.07, 0.07)), mix(p.light, p.main, 0.15), 0, 0.5))
    if rng.random() < 0.5:
        for x in (-0.45, -0.05, 0.35):
            parts.append(Part(ellipse(x, 0.64, 0.07, 0.07), p.dark, 0, 0))
    return parts


def _wheel(p: Palette, x: float, r: float) -> list[Part]:
    y = 1.0 - r
    rings = [
        (1.0, p.dark, 0.8),
        (0.58, mix((200, 200, 205), p.light, 0.3), 0.6),
        (0.2, mix(p.dark, p.light, 0.3), 0.0),
    ]
    return [Part(ellipse(x, y, r * k, r * k), tone, 0, shade) for k, tone, shade in rings]


def _windows(roof: float, rear: float, front: float, sill: float, post: float) -> list[Part]:
    panes = [
        [(rear + 0.14, sill), (rear + 0.24, roof + 0.1), (post - 0.04, roof + 0.1), (post - 0.04, sill)],
        [(post + 0.04, sill), (post + 0.04, roof + 0.1), (front - 0.24, roof + 0.1), (front + 0.1, sill)],
    ]
    parts = [Part(corners(pane), _GLASS, 0, 0.25) for pane in panes]
    glint = corners(
        [
            (post + 0.1, sill - 0.02),
            (post + 0.22, roof + 0.12),
            (post + 0.3, roof + 0.12),
            (post + 0.18, sill - 0.02),
        ]
    )
    return [*parts, Part(glint, (226, 238, 240), 0, 0)]


def _shell(p: Palette, nose: float, post: float) -> list[Part]:
    """Lower body with sill, seam, handle and lights: bonnet at height ``nose``, seam at x = ``post``."""
    trim = mix(p.main, p.dark, 0.6)
    outline = [(-1.42, 0.45), (-1.34, 0.3), (-0.8, 0.27), (0.5, 0.27), (1.1, nose), (1.4, 0.5)]
    outline += [(1.46, 0.75), (1.36, 0.86), (-1.36, 0.86), (-1.46, 0.75)]
    seam = [(post, 0.3), (post, 0.55), (post + 0.03, 0.8)]
    return [
        Part(spline(outline, steps=5), p.main, 0.9),
        Part(box(-1.44, 0.74, 1.44, 0.85, 0.05), trim, 0, 0.3),
        Part(stroke(seam, (0.02, 0.02)), trim, 0, 0),
        Part(box(0.02, 0.4, 0.2, 0.45, 0.02), trim, 0, 0),
        Part(ellipse(1.32, 0.53, 0.1, 0.08), (255, 236, 170), 0, 0.4),
        Part(box(-1.43, 0.46, -1.32, 0.6, 0.03), (205, 58, 52), 0, 0.4),
    ]


def car(rng: np.random.Generator, p: Palette) -> list[Part]:
    """From the side: saloon, hatchback or van, with windows, wheels and lights."""
    r = rng.uniform(0.26, 0.32)
    roof = rng.uniform(-0.34, -0.12)
    rear, front = rng.choice([-0.98, -1.2, -1.3]), rng.uniform(0.5, 0.68)
    sill, nose, post = 0.26, rng.uniform(0.28, 0.36), (rear + front) / 2 - 0.05
    cab = [(rear - 0.02, 0.5), (rear + 0.04, 0.18), (rear + 0.16, roof + 0.04), (rear + 0.45, roof)]
    cab += [(front - 0.5, roof), (front - 0.2, roof + 0.05), (front + 0.26, 0.26), (front + 0.4, 0.5)]
    parts = [Part(spline(cab, steps=5), mix(p.main, p.light, rng.choice([0.0, 0.6])), 0.6, 0.8)]
    parts += _windows(roof, rear, front, sill, post)
    parts += _shell(p, nose, post)
    for x in (-0.82, 0.86):
        parts.append(Part(ellipse(x, 1 - r, r * 1.17, r * 1.17), mix(p.dark, p.main, 0.1), 0, 0))
        parts += _wheel(p, x, r)
    return parts
