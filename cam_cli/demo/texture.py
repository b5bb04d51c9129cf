"""Multi-scale noise and coat patterns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .raster import OVERSAMPLE, Coat, Field, canvas_box
from .shapes import Colour, Part


def noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: float, stretch: float = 1.0, octaves: int = 3
) -> Field:
    """Smooth noise, h×w, zero mean, about unit deviation.

    ``cells`` is the number of coarsest bumps along the height; ``stretch`` > 1 widens the bumps.
    """
    height, width = shape
    total = np.zeros(shape, dtype=np.float32)
    for octave in range(octaves):
        rows = max(2, min(height, round(cells * 2**octave)))
        columns = max(2, min(width, round(cells * 2**octave * width / height / stretch)))
        small = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
        bumps = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
        total += bumps * 0.62**octave
    return total


def _stripes(rng: np.random.Generator, x: Field, y: Field) -> Field:
    turn = rng.uniform(0, np.pi)
    wave = (x * np.cos(turn) + y * np.sin(turn)) * rng.uniform(14, 30)
    warp = noise(rng, (x.shape[0], x.shape[1]), 3, octaves=1) * rng.uniform(0.2, 1.2)
    field: Field = np.clip(0.5 + 2.0 * (np.sin(wave + warp) - rng.uniform(-0.3, 0.5)), 0, 1)
    return field


def _spots(rng: np.random.Generator, x: Field, y: Field) -> Field:
    field = np.zeros_like(x)
    for _ in range(int(rng.integers(10, 26))):
        cx, cy, r = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), rng.uniform(0.025, 0.08)
        field = np.maximum(field, np.clip(0.5 + 14 * (1 - ((x - cx) ** 2 + (y - cy) ** 2) / r**2) * r, 0, 1))
    return field


def _patches(rng: np.random.Generator, x: Field, y: Field) -> Field:
    bumps = noise(rng, (x.shape[0], x.shape[1]), rng.uniform(2.5, 5), octaves=2)
    field: Field = np.clip(0.5 + 4 * (bumps - rng.uniform(0.2, 0.8)), 0, 1)
    return field


def _gradient(rng: np.random.Generator, x: Field, y: Field) -> Field:
    turn = rng.uniform(0, 2 * np.pi)
    field: Field = np.clip(0.5 + (x * np.cos(turn) + y * np.sin(turn)) * 1.3, 0, 1)
    return field


def _speckle(rng: np.random.Generator, x: Field, y: Field) -> Field:
    bumps = noise(rng, (x.shape[0], x.shape[1]), rng.uniform(12, 26), octaves=1)
    field: Field = np.clip(1.2 * bumps, 0, 1)
    return field


_PATTERNS = (_stripes, _spots, _patches, _gradient, _speckle)


def draw_coat(rng: np.random.Generator, parts: list[Part], colour: Colour) -> Coat | None:
    """Draws a random coat pattern over the box of ``parts`` (in image pixels); None for a plain coat."""
    kind = int(rng.integers(0, len(_PATTERNS) + 2))
    if kind >= len(_PATTERNS):
        return None
    _, _, width, height = canvas_box(parts)
    rows, columns = height * OVERSAMPLE, width * OVERSAMPLE
    span = float(max(rows, columns))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    field = _PATTERNS[kind](rng, (x - columns / 2) / span, (y - rows / 2) / span) * rng.uniform(0.55, 1.0)
    levels: NDArray[np.uint8] = (np.clip(field, 0, 1) * 255).astype(np.uint8)
    return Coat(Image.fromarray(levels), colour)
