"""Flower, mushroom and tree."""

from __future__ import annotations

import numpy as np

from .palette import Palette, mix
from .shapes import Colour, Part, Points, box, corners, ellipse, moved, placed, spline, stroke, symmetric


def _leaf(x: float, y: float, length: float, turn: float, flip: bool) -> Points:
    blade = spline([(0, 0), (length * 0.35, -length * 0.22), (length, -length * 0.05), (length * 0.45, length * 0.16)])
    return moved(blade, x, y, 1.0, turn, flip)


def _petal(long: float, wide: float, notch: float) -> Points:
    return symmetric([(0, -long + notch), (wide * 0.55, -long), (wide, -long * 0.62), (wide * 0.45, -0.12), (0, 0)])


def flower(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Open blossom with five to twelve petals on a leafy stem."""
    green = mix((92, 132, 74), p.accent, rng.uniform(0.0, 0.5))
    sway = rng.uniform(-0.25, 0.25)
    stem = [(sway * 0.6, 1.0), (sway * 1.2, 0.5), (0, -0.3)]
    parts = [Part(stroke(stem, (0.1, 0.085, 0.08)), green, 0, 0.7)]
    for flip in (False, True):
        if rng.random() < 0.85:
            leaf = _leaf(
                sway,
                rng.uniform(0.4, 0.75),
                rng.uniform(0.4, 0.62),
                rng.uniform(-0.7, -0.2) * (-1 if flip else 1),
                flip,
            )
            parts.append(Part(leaf, mix(green, p.dark, rng.uniform(0, 0.2)), 0, 0.8))
    count = int(rng.integers(5, 13))
    long = rng.uniform(0.52, 0.7)
    wide = min(0.34, 3.0 / count * rng.uniform(0.36, 0.5))
    petal = _petal(long, wide, rng.uniform(-0.06, 0.08))
    squash = (1.0, rng.uniform(0.75, 1.0))
    start = rng.uniform(0, 6.28)
    order = [*range(0, count, 2), *range(1, count, 2)]
    for k in order:
        outline = moved(petal, turn=start + 2 * np.pi * k / count) * squash + (0, -0.38)
        parts.append(Part(outline, mix(p.main, p.light, 0.12 * (k % 2)), 0.7, 0.8))
    heart = rng.uniform(0.17, 0.25)
    parts.append(
        Part(
            ellipse(0, -0.38, heart, heart * squash[1]),
            mix((232, 186, 70), p.second, rng.uniform(0, 0.7)),
            0,
            1.0,
        )
    )
    for _ in range(9):
        a, d = rng.uniform(0, 6.28), heart * 0.75 * np.sqrt(rng.random())
        dot = ellipse(d * np.cos(a), -0.38 + d * np.sin(a) * squash[1], 0.024, 0.024, corners=10)
        parts.append(Part(dot, mix(p.dark, (150, 100, 40), 0.5), 0, 0))
    return parts


def _toadstool(rng: np.random.Generator, p: Palette) -> list[Part]:
    lean = rng.uniform(-0.15, 0.15)
    thick = rng.uniform(0.26, 0.42)
    stalk = stroke([(0, 0.92), (lean * 0.4, 0.5), (lean, -0.15)], (thick * 1.35, thick, thick * 0.85))
    cream = mix((240, 228, 206), p.second, rng.uniform(0.0, 0.4))
    parts = [Part(stalk, cream, 0, 1.0)]
    w, h, brim = rng.uniform(0.72, 1.0), rng.uniform(0.55, 0.95), rng.uniform(0.0, 0.12)
    rim = rng.uniform(0.1, 0.2)
    gills = ellipse(lean, 0.02, w * 0.93, rim)
    if rng.random() < 0.5:
        skirt = stroke([(lean - thick * 0.6, 0.27), (lean, 0.31), (lean + thick * 0.6, 0.27)], (0.07, 0.1, 0.07))
        parts.append(Part(skirt, mix(cream, p.light, 0.5), 0, 0.8))
    parts.append(Part(gills, mix(cream, p.dark, 0.25), 0, 0.4))
    cap = symmetric(
        [
            (0, -h),
            (w * 0.5, -h * 0.86),
            (w * 0.9, -h * 0.3),
            (w, brim),
            (w * 0.6, rim * 0.35),
            (0, rim * 0.55),
        ]
    )
    parts.append(Part(cap + (lean, 0), p.main, 0.5))
    if rng.random() < 0.7:
        for x, y in ((-0.55, -0.2), (0.1, -0.34), (0.6, -0.22), (-0.2, -0.7), (0.35, -0.66), (-0.1, -0.1)):
            r = rng.uniform(0.06, 0.13)
            spot = ellipse(lean + x * w + rng.normal(0, 0.03), y * h, r * (1 - abs(x) * 0.35), r * 0.85)
            parts.append(Part(spot, p.light, 0, 0.4))
    return parts


def mushroom(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Stalk under a wide cap with gills, often spotted, sometimes with a smaller companion."""
    main = _toadstool(rng, p)
    if rng.random() < 0.4:
        side, size = rng.choice([-1.0, 1.0]), rng.uniform(0.35, 0.5)
        small = placed(_toadstool(rng, p), side * rng.uniform(0.55, 0.8), 0.93 - 0.92 * size, size, side * 0.15)
        return small + main if rng.random() < 0.5 else main + small
    return main


def _conifer(rng: np.random.Generator, p: Palette, leaf: Colour) -> list[Part]:
    tiers = int(rng.integers(3, 5))
    width = rng.uniform(0.66, 0.88)
    parts = []
    for k in range(tiers):
        low = 0.62 - k * 1.3 / tiers
        w, top = width * (1 - k / (tiers + 0.6)), low - 2.0 / tiers
        tier = symmetric(
            [
                (0, top),
                (w * 0.42, low - 0.5 / tiers * 1.2),
                (w, low - 0.02),
                (w * 0.5, low + 0.04),
                (0, low + 0.08),
            ],
            steps=5,
        )
        parts.append(Part(tier, mix(leaf, p.light, 0.07 * k), 0.5, 0.9))
    return parts


def _crown(rng: np.random.Generator, p: Palette, leaf: Colour) -> list[Part]:
    parts = []
    spread = rng.uniform(0.5, 0.72)
    tufts = [
        (-spread, 0.0, 0.36),
        (spread, 0.0, 0.36),
        (-spread * 0.65, -0.42, 0.36),
        (spread * 0.65, -0.42, 0.36),
        (0, -0.62, 0.4),
        (0.0, -0.12, 0.5),
    ]
    for x, y, r in tufts:
        t = np.linspace(0, 2 * np.pi, 11, endpoint=False)
        rim = r * rng.uniform(0.9, 1.1, 11) * (1 + 0.08 * np.cos(np.arange(11) * np.pi))
        knobs = np.stack([x + rim * np.cos(t), y + rim * np.sin(t)], axis=1) + rng.normal(0, 0.03, 2)
        parts.append(Part(spline(knobs, steps=5), mix(leaf, p.light, rng.uniform(0, 0.12)), 0.6, 0.9))
    if rng.random() < 0.35:
        for _ in range(9):
            a, d = rng.uniform(0, 6.28), np.sqrt(rng.random()) * 0.6
            parts.append(Part(ellipse(d * np.cos(a), -0.25 + d * np.sin(a) * 0.8, 0.06, 0.06), p.accent, 0, 0.5))
    return parts


def tree(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Trunk with branches under a leafy crown, or a tiered conifer."""
    bark = mix((112, 80, 58), p.second, rng.uniform(0.0, 0.5))
    bend = rng.uniform(-0.08, 0.08)
    if rng.random() < 0.4:
        return [Part(box(-0.1, 0.4, 0.1, 1.0), bark, 0, 1.0), *_conifer(rng, p, p.main)]
    thick = rng.uniform(0.17, 0.28)
    root = corners(
        [
            (-thick * 0.9, 1.0),
            (-thick * 0.5, 0.75),
            (bend - thick * 0.4, -0.2),
            (bend + thick * 0.4, -0.2),
            (thick * 0.5, 0.75),
            (thick * 0.9, 1.0),
        ]
    )
    parts = [Part(root, bark, 0, 1.0)]
    for side in (-1, 1):
        branch = [(bend, rng.uniform(0.35, 0.6)), (side * 0.22, 0.2), (side * 0.45, -0.05)]
        parts.append(Part(stroke(branch, (thick * 0.6, thick * 0.45, thick * 0.3)), bark, 0, 0.9))
    return parts + _crown(rng, p, p.main)
