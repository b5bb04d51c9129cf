"""Cat, dog and rabbit: a body sitting towards the viewer or standing sideways, with a front-view head."""

from __future__ import annotations

import numpy as np

from .faces import cat_head, dog_head, rabbit_head
from .palette import Palette, mix
from .shapes import Part, Points, ellipse, placed, spline, stroke, symmetric


def _sitting(rng: np.random.Generator, p: Palette, tail: Part, slim: float) -> list[Part]:
    """Pear-shaped body from y = -0.2 to 1 seen from the front; ``slim`` scales its width."""
    w = slim * rng.uniform(0.92, 1.08)
    body = symmetric([(0, -0.3), (0.3 * w, -0.2), (0.44 * w, 0.25), (0.6 * w, 0.72), (0.45 * w, 0.98), (0, 1.0)])
    haunch = [Part(ellipse(s * 0.48 * w, 0.74, 0.2, 0.27, s * 0.25), p.main, 0.9) for s in (-1, 1)]
    chest = symmetric([(0, -0.2), (0.17 * w, 0.0), (0.2 * w, 0.4), (0, 0.62)])
    parts = [tail, Part(body, p.main, 1.0), *haunch]
    parts.append(Part(chest, mix(p.main, p.light, rng.uniform(0.2, 0.9)), 0, 0.3))
    paw = mix(p.main, p.light, rng.choice([0.0, 0.8]))
    for side in (-1, 1):
        x = side * rng.uniform(0.15, 0.2)
        leg = [(x * 1.1, 0.2), (x, 0.6), (x, 0.9)]
        parts.append(Part(stroke(leg, (0.22, 0.18, 0.17)), p.main, 0.6, 0.8))
        parts.append(Part(ellipse(x, 0.95, 0.14, 0.085), paw, 0, 0.8))
        parts.append(Part(ellipse(side * 0.48 * w, 0.97, 0.17, 0.08), paw, 0, 0.8))
    return parts


def _leg(rng: np.random.Generator, x: float, top: float, fill: tuple[float, float, float], swing: float) -> Part:
    foot = x + rng.uniform(-swing, swing)
    way = [(x, top), (x + (foot - x) * 0.3 - 0.04, (top + 0.95) / 2), (foot, 0.88), (foot + 0.09, 0.93)]
    return Part(stroke(way, (0.3, 0.19, 0.14, 0.15)), fill, 0.6, 0.8)


def _standing(rng: np.random.Generator, p: Palette, tail: Part, depth: float) -> list[Part]:
    """Sideways body, head end to the right (x about 0.75); ``depth`` is the trunk's thickness."""
    far = mix(p.main, p.dark, 0.35)
    swing = rng.uniform(0.02, 0.22)
    belly = 0.1 + depth
    legs = [_leg(rng, x, belly - 0.22, far, swing) for x in (-0.5, 0.5)]
    near = [_leg(rng, x, belly - 0.25, p.main, swing) for x in (-0.68, 0.62)]
    hump = rng.uniform(-0.06, 0.06)
    trunk = [(-0.82, 0.02), (-0.5, -0.16), (0.0, -0.1 + hump), (0.5, -0.2), (0.84, -0.28), (0.92, 0.1)]
    trunk += [(0.7, belly), (0.1, belly - 0.04), (-0.35, belly - 0.1), (-0.72, belly + 0.02), (-0.93, 0.3)]
    return [tail, *legs, Part(spline(trunk), p.main, 1.0), *near]


def _tail(rng: np.random.Generator, start: tuple[float, float], side: float, tall: float, width: float) -> Points:
    x, y = start
    curl = rng.uniform(-0.25, 0.3)
    way = [
        (x, y),
        (x + side * 0.34, y - 0.05),
        (x + side * 0.5, y - tall * 0.5),
        (x + side * (0.45 + curl), y - tall),
    ]
    return stroke(way, (width, width * 0.95, width * 0.9, width * 0.75))


def cat(rng: np.random.Generator, p: Palette) -> list[Part]:
    """A cat sitting or standing, with a long slender tail."""
    head = cat_head(rng, p)
    if rng.random() < 0.5:
        side = rng.choice([-1.0, 1.0])
        tail = Part(_tail(rng, (side * 0.35, 0.86), side, rng.uniform(0.5, 1.1), 0.15), p.main, 1.0)
        body = _sitting(rng, p, tail, 0.88)
        return body + placed(head, rng.uniform(-0.08, 0.08), -0.5, rng.uniform(0.46, 0.54), rng.normal(0, 0.12))
    tail = Part(_tail(rng, (-0.82, 0.08), -1.0, rng.uniform(0.6, 1.15), 0.14), p.main, 1.0)
    body = _standing(rng, p, tail, 0.26)
    return body + placed(head, 0.88, rng.uniform(-0.42, -0.2), rng.uniform(0.4, 0.46), rng.normal(0, 0.12))


def _collar(rng: np.random.Generator, p: Palette, x: float, y: float, width: float) -> list[Part]:
    if rng.random() < 0.5:
        return []
    band = stroke([(x - width, y - 0.05), (x, y + 0.06), (x + width, y - 0.05)], (0.09, 0.1, 0.09))
    return [Part(band, p.accent, 0, 0.6), Part(ellipse(x, y + 0.13, 0.06, 0.06), (226, 190, 90), 0, 0.6)]


def dog(rng: np.random.Generator, p: Palette) -> list[Part]:
    """A dog sitting or standing, with a short raised tail."""
    head = dog_head(rng, p)
    if rng.random() < 0.45:
        side = rng.choice([-1.0, 1.0])
        wag = [
            (side * 0.4, 0.85),
            (side * 0.7, 0.78),
            (side * rng.uniform(0.8, 0.95), rng.uniform(0.45, 0.6)),
        ]
        body = _sitting(rng, p, Part(stroke(wag, (0.17, 0.15, 0.07)), p.main, 1.0), 1.02)
        body += _collar(rng, p, 0, -0.02, 0.26)
        return body + placed(head, rng.uniform(-0.06, 0.06), -0.52, rng.uniform(0.46, 0.54), rng.normal(0, 0.14))
    way = [(-0.8, 0.06), (-1.02, -0.1), (-1.12 + rng.uniform(-0.1, 0.12), -0.42 + rng.uniform(-0.08, 0.15))]
    body = _standing(rng, p, Part(stroke(way, (0.19, 0.15, 0.06)), p.main, 1.0), rng.uniform(0.3, 0.38))
    neck = stroke([(0.66, 0.0), (0.86, -0.3), (0.92, -0.5)], (0.52, 0.44, 0.4))
    body += [Part(neck, p.main, 0.8), *_collar(rng, p, 0.9, -0.22, 0.24)]
    return body + placed(head, 0.95, rng.uniform(-0.6, -0.45), rng.uniform(0.4, 0.46), rng.normal(0, 0.14))


def rabbit(rng: np.random.Generator, p: Palette) -> list[Part]:
    """A rabbit upright or crouched, with long ears, a big hind foot and a round tail."""
    head = rabbit_head(rng, p)
    puff = mix(p.main, (255, 252, 246), 0.75)
    if rng.random() < 0.5:
        side = rng.choice([-1.0, 1.0])
        body = _sitting(rng, p, Part(ellipse(side * 0.58, 0.82, 0.17, 0.16), puff, 0, 1.0), 0.95)
        return body + placed(head, 0, -0.46, rng.uniform(0.42, 0.48), rng.normal(0, 0.12))
    arch = [
        (-0.85, 0.5),
        (-0.68, -0.02),
        (-0.2, -0.22),
        (0.3, -0.1),
        (0.7, 0.3),
        (0.62, 0.78),
        (0.2, 0.94),
        (-0.6, 0.95),
    ]
    parts = [Part(ellipse(-0.88, 0.56, 0.19, 0.18), puff, 0, 1.0), Part(spline(arch), p.main, 1.0)]
    parts.append(Part(ellipse(-0.42, 0.56, 0.37, 0.34, -0.3), p.main, 0.8))
    parts.append(Part(stroke([(-0.6, 0.93), (-0.25, 0.95), (0.02, 0.94)], (0.15, 0.15, 0.12)), p.main, 0.3, 0.9))
    parts.append(
        Part(
            stroke([(0.48, 0.5), (0.56, 0.75), (0.6, 0.93), (0.72, 0.95)], (0.2, 0.15, 0.13, 0.12)),
            p.main,
            0.3,
        )
    )
    return parts + placed(head, 0.68, 0.08, rng.uniform(0.42, 0.48), rng.uniform(-0.2, 0.15))
