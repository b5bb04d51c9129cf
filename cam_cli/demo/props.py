"""Objects without a class: clutter behind the objects and covers in front of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .palette import Palette, mix
from .shapes import Part, box, corners, ellipse, moved, spline, stroke

Drawing = Callable[[np.random.Generator, Palette], list[Part]]


def _rock(rng: np.random.Generator, p: Palette) -> list[Part]:
    t = np.linspace(np.pi, 2 * np.pi, 7)
    rim = rng.uniform(0.75, 1.1, 7)
    stone = mix((140, 136, 132), p.main, 0.35)
    knobs = [(float(r * np.cos(a)), float(0.75 * r * np.sin(a))) for r, a in zip(rim, t, strict=True)]
    return [Part(spline([*knobs, (0.8, 0.15), (-0.8, 0.15)], steps=4), stone, 0.4)]


def _ball(rng: np.random.Generator, p: Palette) -> list[Part]:
    turn, bow = rng.uniform(0, 3.1), rng.uniform(-0.35, 0.35)
    c, s = float(np.cos(turn)), float(np.sin(turn))
    parts = [Part(ellipse(0, 0, 1, 1), p.main, 0.4)]
    for shift, width in ((bow - 0.22, 0.12), (bow + 0.22, 0.12)):
        reach = float(np.sqrt(1 - shift**2)) * 0.93
        band = [(-reach * c - shift * s, -reach * s + shift * c), (-1.3 * shift * s, 1.3 * shift * c)]
        band.append((reach * c - shift * s, reach * s + shift * c))
        parts.append(Part(stroke(band, (0.06, width, 0.06)), p.second, 0, 0.3))
    return parts


def _crate(rng: np.random.Generator, p: Palette) -> list[Part]:
    w, h = rng.uniform(0.7, 1.1), rng.uniform(0.6, 1.1)
    edge = mix(p.main, p.dark, 0.35)
    parts = [Part(box(-w, -h, w, h), p.main, 0.4, 0.6)]
    for y in (-h, h - 0.18):
        parts.append(Part(box(-w, y, w, y + 0.18), edge, 0, 0.5))
    if rng.random() < 0.6:
        parts.append(Part(stroke([(-w + 0.1, h - 0.2), (0, 0), (w - 0.1, -h + 0.2)], (0.16, 0.16)), edge, 0, 0.5))
    return parts


def _pole(rng: np.random.Generator, p: Palette) -> list[Part]:
    w = rng.uniform(0.05, 0.1)
    parts = [Part(box(-w, -2.2, w, 1.0, w), mix(p.main, (120, 116, 112), 0.5), 0, 1.0)]
    if rng.random() < 0.5:
        for y in np.arange(-2.0, 0.9, 0.5):
            parts.append(Part(box(-w, float(y), w, float(y) + 0.25), p.second, 0, 0.8))
    return parts


def _tuft(rng: np.random.Generator, p: Palette) -> list[Part]:
    green = mix((104, 132, 70), p.main, rng.uniform(0.0, 0.6))
    parts = []
    for x in np.linspace(-0.8, 0.8, int(rng.integers(6, 12))):
        lean, tall = rng.normal(0.3 * x, 0.22), rng.uniform(0.8, 1.7)
        way = [(float(x), 1.0), (float(x) + lean * 0.3, 1 - tall * 0.6), (float(x) + lean, 1 - tall)]
        parts.append(Part(stroke(way, (0.16, 0.12, 0.02)), mix(green, p.dark, rng.uniform(0, 0.4)), 0, 0.5))
    return parts


def _puff(rng: np.random.Generator, p: Palette) -> list[Part]:
    tone = mix(p.main, (252, 250, 246), 0.85)
    spots = [(-0.8, 0.1, 0.4), (-0.3, -0.15, 0.55), (0.35, -0.1, 0.5), (0.85, 0.12, 0.36), (0, 0.15, 0.6)]
    return [Part(ellipse(x, y, r * rng.uniform(0.9, 1.2), r * 0.7), tone, 0, 0.4) for x, y, r in spots]


def _cone(rng: np.random.Generator, p: Palette) -> list[Part]:
    parts = [Part(corners([(-0.12, -1.0), (0.12, -1.0), (0.6, 0.9), (-0.6, 0.9)]), p.main, 0, 1.0)]
    parts.append(Part(corners([(-0.27, -0.4), (0.27, -0.4), (0.4, 0.1), (-0.4, 0.1)]), p.light, 0, 1.0))
    return [*parts, Part(box(-0.8, 0.82, 0.8, 1.0, 0.05), p.main, 0, 0.6)]


def _log(rng: np.random.Generator, p: Palette) -> list[Part]:
    bark = mix((116, 88, 66), p.main, 0.3)
    parts = [Part(stroke([(-1.2, 0.05), (0, 0.0), (1.0, 0.0)], (0.7, 0.66, 0.62)), bark, 0.3)]
    for r, tone in (
        (1.0, mix(bark, p.light, 0.6)),
        (0.6, mix(bark, p.light, 0.35)),
        (0.25, mix(bark, p.light, 0.6)),
    ):
        parts.append(Part(ellipse(1.1, 0, 0.2 * r, 0.33 * r), tone, 0, 0.2))
    return parts


def _pebbles(rng: np.random.Generator, p: Palette) -> list[Part]:
    parts = []
    for _ in range(int(rng.integers(3, 8))):
        x, y, r = rng.normal(0, 0.6), rng.normal(0, 0.2), rng.uniform(0.1, 0.26)
        parts.append(Part(ellipse(x, y, r, r * 0.65, rng.normal(0, 0.3)), mix(p.main, p.second, rng.random()), 0, 0.9))
    return parts


def _rings(rng: np.random.Generator, p: Palette) -> list[Part]:
    tones = (p.main, p.light, p.second, p.light, p.accent)
    return [Part(ellipse(0, 0, 1 - 0.2 * k, 1 - 0.2 * k), tone, 0, 0.4) for k, tone in enumerate(tones)]


def _balloon(rng: np.random.Generator, p: Palette) -> list[Part]:
    string = [(0, 0.4), (rng.normal(0, 0.12), 0.9), (rng.normal(0, 0.2), 1.5)]
    knot = corners([(0, 0.3), (0.1, 0.48), (-0.1, 0.48)])
    skin = spline([(0, -0.8), (0.5, -0.55), (0.56, -0.1), (0, 0.4), (-0.56, -0.1), (-0.5, -0.55)])
    return [
        Part(stroke(string, (0.03, 0.03)), p.light, 0, 0),
        Part(knot, p.main, 0, 0),
        Part(skin, p.main, 0.4),
    ]


def _kite(rng: np.random.Generator, p: Palette) -> list[Part]:
    way = [(0, 0.8), (0.25, 1.1), (-0.1, 1.45), (0.2, 1.8)]
    parts = [Part(stroke(way, (0.04, 0.04)), p.light, 0, 0)]
    parts += [Part(ellipse(x, y, 0.12, 0.06, 0.5), p.accent, 0, 0) for x, y in way[1:]]
    parts.append(Part(corners([(0, -0.9), (0.62, -0.15), (0, 0.85), (-0.62, -0.15)]), p.main, 0.6, 0.5))
    return [*parts, Part(corners([(0, -0.9), (0.62, -0.15), (0, 0.85)]), p.second, 0, 0.5)]


def _twig(rng: np.random.Generator, p: Palette) -> list[Part]:
    """Hanging branch, seven units long, its lowest leaf at the base."""
    bend = rng.uniform(-1.0, 1.0)
    way = np.array([(bend, -7.0), (bend * 0.3, -4.5), (0.0, -2.0), (0.0, 0.0)])
    green = mix((110, 140, 78), p.main, rng.uniform(0.1, 0.7))
    parts = [Part(stroke(way, (0.14, 0.1, 0.06)), mix((96, 74, 58), p.main, 0.2), 0, 0.5)]
    for k, y in enumerate(np.arange(-6.6, 0.0, 0.46)):
        x = float(np.interp(y, way[:, 1], way[:, 0]))
        leaf = spline([(0, 0), (0.28, -0.2), (0.75, 0.05), (0.32, 0.2)])
        turn = rng.uniform(0.1, 0.9) * (1 if k % 2 else -1)
        parts.append(Part(moved(leaf, x, float(y), 1.0, turn, k % 2 == 0), mix(green, p.dark, rng.uniform(0, 0.25))))
    return parts


STANDING: tuple[Drawing, ...] = (_rock, _ball, _crate, _pole, _tuft, _cone, _log, _pebbles, _rings)
ALOFT: tuple[Drawing, ...] = (_puff, _puff, _balloon, _kite)
COVERS: tuple[Drawing, ...] = (_rock, _ball, _crate, _pole, _tuft, _tuft, _log)
HANGING: tuple[Drawing, ...] = (_twig,)
