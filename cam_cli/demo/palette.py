"""Colours of a drawing, from one distribution for all classes, so colour is no cue for the class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .shapes import Colour

_COATS = (
    "d98b4a 8a5a3b 4a4346 e9dfcc 9aa0a3 c9524a e3b34c 5a8f69 4a7fb0 7b5ea7 d97fa0 2f7f83 "
    "b5553c f0c39b 7d8f4a 4f5d75 e8795a 6fb3b8 a9744f d9cfc0 c7a45c 8fb872 35577d 9c4a6b "
    "f2d16b 6e6a67 b98ec0 e2a08a "
)


@dataclass(frozen=True)
class Palette:
    """RGB colours (0..255) of one drawing: two coats, an accent, a near-black and a near-white."""

    main: Colour
    second: Colour
    accent: Colour
    dark: Colour
    light: Colour


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """``a`` blended towards ``b`` by ``share`` in 0..1."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def from_hex(code: str) -> Colour:
    """RGB (0..255) of six hexadecimal digits."""
    return (float(int(code[:2], 16)), float(int(code[2:4], 16)), float(int(code[4:], 16)))


def _jitter(rng: np.random.Generator, colour: Colour) -> Colour:
    level = rng.uniform(0.88, 1.1)
    r, g, b = (float(np.clip(c * level + rng.normal(0, 7), 12, 250)) for c in colour)
    return (r, g, b)


def _brightness(colour: Colour) -> float:
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def draw_palette(rng: np.random.Generator) -> Palette:
    """Draws a palette whose two coats differ visibly in brightness."""
    codes = _COATS.split()
    picks = [_jitter(rng, from_hex(codes[i])) for i in rng.permutation(len(codes))[:6]]
    main = picks[0]
    ranked = sorted(picks[1:], key=lambda c: abs(_brightness(c) - _brightness(main)))
    light = mix((250, 243, 230), main, rng.uniform(0.05, 0.2))
    dark = mix((34, 28, 34), main, rng.uniform(0.03, 0.12))
    return Palette(main, ranked[-1], ranked[2], dark, light)
