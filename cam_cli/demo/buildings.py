"""House."""

from __future__ import annotations

import numpy as np

from .palette import Palette, mix
from .shapes import Part, box, corners, ellipse


def _window(p: Palette, x: float, y: float, w: float, h: float, arched: bool) -> list[Part]:
    frame = mix(p.light, p.second, 0.15)
    outer = box(x - w, y - h, x + w, y + h, w if arched else 0.0)
    inner = box(x - w * 0.78, y - h * 0.82, x + w * 0.78, y + h * 0.82, w * 0.75 if arched else 0.0)
    bars = [box(x - w * 0.09, y - h, x + w * 0.09, y + h), box(x - w, y - h * 0.08, x + w, y + h * 0.08)]
    return [Part(outer, frame, 0, 0.3), Part(inner, (96, 120, 138), 0, 0.3)] + [Part(b, frame, 0, 0) for b in bars]


def house(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Facade under a gable or hipped roof, with chimney, door and windows."""
    w, eaves, ridge = rng.uniform(0.75, 1.1), rng.uniform(-0.3, -0.05), rng.uniform(-1.1, -0.85)
    over = rng.uniform(0.1, 0.2)
    side = rng.choice([-1.0, 1.0])
    stack = side * w * rng.uniform(0.45, 0.6)
    parts = [Part(box(stack - 0.1, ridge + 0.05, stack + 0.1, eaves), mix(p.second, (150, 84, 66), 0.5), 0, 0.7)]
    parts.append(Part(box(stack - 0.13, ridge + 0.02, stack + 0.13, ridge + 0.1), mix(p.second, p.dark, 0.4), 0, 0.4))
    parts.append(Part(box(-w, eaves - 0.1, w, 1.0), p.main, 0.8, 0.5))
    inset = rng.choice([0.0, 0.35, 0.55]) * w
    if inset == 0:
        parts.append(Part(corners([(-w, eaves), (0, ridge + 0.1), (w, eaves)]), p.main, 0.8, 0.3))
    roof = [
        (-w - over, eaves + 0.06),
        (-inset - 0.02, ridge),
        (inset + 0.02, ridge),
        (w + over, eaves + 0.06),
    ]
    if inset == 0:
        roof += [(w + over - 0.16, eaves + 0.12), (0, ridge + 0.22), (-w - over + 0.16, eaves + 0.12)]
    parts.append(Part(corners(roof), mix(p.second, p.dark, 0.15), 0.0, 0.8))
    if inset == 0:
        parts += _window(p, 0, (eaves + ridge) / 2 + 0.2, 0.13, 0.15, True)
    door = rng.uniform(-0.2, 0.2) * w
    parts.append(Part(box(door - 0.2, 0.36, door + 0.2, 1.0, 0.04), mix(p.light, p.main, 0.2), 0, 0.3))
    parts.append(Part(box(door - 0.16, 0.4, door + 0.16, 1.0, 0.03), p.accent, 0, 0.5))
    parts.append(Part(ellipse(door + 0.09, 0.7, 0.028, 0.028), (240, 215, 130), 0, 0))
    arched = bool(rng.random() < 0.4)
    for x in (-0.62, 0.62):
        parts += _window(p, x * w, 0.4 + rng.uniform(-0.03, 0.03), 0.16, 0.2, arched)
    parts.append(Part(box(-w - 0.03, 0.93, w + 0.03, 1.0), mix(p.main, p.dark, 0.45), 0, 0.3))
    return parts
