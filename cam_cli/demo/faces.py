"""Front-view heads of the three pets, about one unit in radius around the origin."""

from __future__ import annotations

import numpy as np

from .palette import Palette, mix
from .shapes import Part, Points, corners, ellipse, moved, placed, spline, stroke, symmetric


def eyes(p: Palette, x: float, y: float, size: float, look: float, slit: bool = False) -> list[Part]:
    """A pair of eyes at ±x shifted by ``look``; ``slit`` draws the upright pupils of a cat."""
    parts = []
    for side in (-1.0, 1.0):
        at = side * x + look
        if slit:
            parts.append(Part(ellipse(at, y, size, size * 0.95, side * 0.3), mix(p.accent, (235, 225, 120), 0.6), 0, 0))
            parts.append(Part(ellipse(at + look * 0.3, y, size * 0.38, size * 0.85), p.dark, 0, 0))
        else:
            parts.append(Part(ellipse(at, y, size, size * 1.1), p.dark, 0, 0))
        parts.append(Part(ellipse(at + size * 0.25, y - size * 0.35, size * 0.28, size * 0.28), (255, 252, 245), 0, 0))
    return parts


def _ear_pair(rng: np.random.Generator, outline: Points, colour: Part, inner: float) -> list[Part]:
    """Ear ``outline`` (right side) drawn on both sides, with an inner patch shrunk to ``inner``."""
    parts = []
    middle = outline.mean(0)
    for flip in (False, True):
        tilt = rng.normal(0, 0.06)
        ear = moved(outline, turn=-tilt if flip else tilt, flip=flip)
        parts.append(Part(ear, colour.fill, colour.pattern, 0.8))
        patch = moved((outline - middle) * inner + middle + (0, 0.04), turn=-tilt if flip else tilt, flip=flip)
        parts.append(Part(patch, mix(colour.fill, (222, 140, 140), 0.6), 0, 0.4))
    return parts


def cat_head(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Wide face, pointed ears, slit eyes, whiskers."""
    look = rng.uniform(-0.16, 0.16)
    tip = rng.uniform(1.2, 1.45)
    ear = corners([(0.12, -0.62), (0.35, -0.95), (rng.uniform(0.68, 0.85), -tip), (0.86, -0.8), (0.9, -0.2)])
    parts = _ear_pair(rng, ear, Part(ear, p.main, 0.5), 0.6)
    cheek = rng.uniform(0.98, 1.12)
    face = symmetric([(0, -0.78), (0.55, -0.66), (cheek, 0.05), (0.8, 0.5), (0.35, 0.76), (0, 0.8)])
    parts.append(Part(face, p.main, 1.0))
    muzzle = mix(p.main, p.light, 0.75)
    parts += [Part(ellipse(s * 0.2 + look * 1.3, 0.4, 0.27, 0.22, s * 0.15), muzzle, 0, 0.5) for s in (-1, 1)]
    parts += eyes(p, 0.42, -0.02, rng.uniform(0.2, 0.26), look, slit=True)
    nose = corners([(-0.11, 0.2), (0.11, 0.2), (0, 0.34)]) + (look * 1.4, 0)
    parts.append(Part(nose, mix((205, 110, 115), p.dark, rng.choice([0.0, 0.7])), 0, 0))
    for side in (-1, 1):
        mouth = np.array([(0, 0.32), (side * 0.06, 0.45), (side * 0.2, 0.47)]) + (look * 1.4, 0)
        parts.append(Part(stroke(mouth, (0.035, 0.03)), p.dark, 0, 0))
        for rise in (-0.14, 0.0, 0.14):
            hair = [
                (side * 0.32 + look, 0.4 + rise * 0.4),
                (side * 0.85, 0.36 + rise),
                (side * 1.4, 0.42 + rise * 2.2),
            ]
            parts.append(Part(stroke(hair, (0.035, 0.012)), mix(p.light, p.dark, 0.12), 0, 0))
    return parts


def _dog_ear(rng: np.random.Generator, style: int) -> Points:
    reach = rng.uniform(0.35, 0.8)
    if style == 0:
        return spline([(0.5, -0.75), (0.95, -0.62), (1.22, 0.0), (1.12, reach), (0.86, reach - 0.02), (0.72, -0.1)])
    return spline([(0.35, -0.8), (0.62, -1.12), (1.0, -1.0), (1.26, -0.5), (1.2, -0.32), (0.85, -0.45)])


def dog_head(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Long face with a broad muzzle, big nose, hanging or folded ears, sometimes a tongue."""
    look = rng.uniform(-0.16, 0.16)
    ear_colour = mix(p.main, p.dark, 0.45) if rng.random() < 0.5 else mix(p.main, p.second, 0.7)
    ear = _dog_ear(rng, int(rng.random() < 0.35))
    face = symmetric([(0, -0.9), (0.5, -0.82), (0.84, -0.3), (0.76, 0.3), (0.52, 0.85), (0, 1.05)])
    parts = [Part(face, p.main, 0.8)]
    if rng.random() < 0.5:
        patch = spline([(0.1, -0.7), (0.5, -0.72), (0.74, -0.2), (0.5, 0.16), (0.16, 0.02)])
        parts.append(Part(patch, mix(p.main, p.second, 0.8), 0, 0.3))
    if rng.random() < 0.45:
        tongue = spline([(-0.16, 0.78), (0.16, 0.78), (0.19, 1.2), (0, 1.34), (-0.19, 1.2)]) + (look, 0)
        parts.append(Part(tongue, (222, 104, 112), 0, 0.7))
    muzzle = symmetric([(0, 0.02), (0.26, 0.12), (0.52, 0.52), (0.42, 0.84), (0.12, 0.9), (0, 0.86)])
    parts.append(Part(muzzle + (look * 1.2, 0), mix(p.main, p.light, 0.72), 0, 0.9))
    parts += eyes(p, 0.38, -0.16, rng.uniform(0.12, 0.15), look)
    nose = symmetric([(0, 0.14), (0.2, 0.16), (0.25, 0.3), (0.1, 0.44), (0, 0.46)])
    parts.append(Part(nose + (look * 1.5, 0), p.dark, 0, 0.8))
    for side in (-1, 1):
        mouth = np.array([(0, 0.44), (0, 0.62), (side * 0.14, 0.72), (side * 0.34, 0.66)]) + (look * 1.5, 0)
        parts.append(Part(stroke(mouth, (0.04, 0.04)), p.dark, 0, 0))
    return parts + [Part(moved(ear, turn=rng.normal(0, 0.08), flip=f), ear_colour, 0.3) for f in (False, True)]


def rabbit_ear(rng: np.random.Generator, bent: bool) -> Points:
    """Long ear rising from the origin, about two units, perhaps bent over near its middle."""
    top = rng.uniform(1.5, 1.95)
    lean = rng.uniform(0.5, 0.8) if bent else rng.uniform(-0.05, 0.12)
    way = [(0.0, 0.1), (0.02, -top * 0.45), (lean * 0.4, -top * 0.78), (lean, -top * (0.72 if bent else 1.0))]
    return stroke(way, (0.46, 0.62, 0.56, 0.24))


def rabbit_head(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Egg-shaped face with very long ears, wide-set eyes and front teeth."""
    look = rng.uniform(-0.14, 0.14)
    spread = rng.uniform(0.0, 0.24)
    parts = []
    for side in (-1.0, 1.0):
        ear = [Part(rabbit_ear(rng, rng.random() < 0.2), p.main, 0.5)]
        middle = ear[0].outline.mean(0)
        ear.append(Part((ear[0].outline - middle) * (0.5, 0.8) + middle, mix(p.main, (226, 150, 150), 0.62), 0, 0.4))
        parts += placed(ear, side * 0.32, -0.55, 1.0, side * spread, flip=side < 0)
    face = symmetric([(0, -0.85), (0.46, -0.72), (0.74, -0.1), (0.86, 0.32), (0.56, 0.72), (0, 0.84)])
    parts.append(Part(face, p.main, 0.9))
    parts.append(
        Part(
            corners([(-0.1, 0.52), (0.1, 0.52), (0.09, 0.78), (-0.09, 0.78)]) + (look, 0),
            (250, 248, 240),
            0,
            0.2,
        )
    )
    muzzle = mix(p.main, p.light, 0.8)
    parts += [Part(ellipse(s * 0.18 + look * 1.2, 0.4, 0.24, 0.2), muzzle, 0, 0.6) for s in (-1, 1)]
    parts += eyes(p, 0.5, -0.08, rng.uniform(0.14, 0.18), look)
    parts.append(Part(spline([(-0.12, 0.2), (0.12, 0.2), (0, 0.33)]) + (look * 1.3, 0), (214, 120, 128), 0, 0))
    return parts
