"""Clutter behind the objects and covers in front of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .palette import Palette, draw_palette
from .props import ALOFT, COVERS, HANGING, STANDING
from .raster import Field
from .shapes import Part
from .stage import Placed, Stage, dressed, fitted, shifted

MOST_HIDDEN = 0.35


def scatter_clutter(stage: Stage) -> None:
    """Draws two to six small things on the ground or in the air, behind the objects."""
    rng, (width, height) = stage.rng, stage.size
    for _ in range(int(rng.integers(2, 7))):
        palette = draw_palette(rng)
        aloft = rng.random() < 0.35
        things = ALOFT if aloft else STANDING
        drawn = things[int(rng.integers(len(things)))](rng, palette)
        base = rng.uniform(0.1, 0.9) * stage.horizon if aloft else rng.uniform(stage.horizon + 2, height)
        nearness = 1.0 if aloft else 0.6 + 0.8 * (base - stage.horizon) / (height - stage.horizon)
        parts = fitted(
            drawn,
            rng.uniform(0.06, 0.22) * nearness * height,
            rng.normal(0, 0.06),
            bool(rng.random() < 0.5),
            1.0,
        )
        parts = shifted(parts, rng.uniform(0, width), base)
        if not aloft:
            stage.shade(parts, True, 0.35)
        stage.paste(dressed(stage, parts, palette.second))


def add_covers(stage: Stage, placed: Sequence[Placed]) -> Field:
    """Draws things in front, without those that would hide too much of an object. Returns their alpha, H×W."""
    rng, (width, height) = stage.rng, stage.size
    total = np.zeros((height, width), dtype=np.float32)
    for _ in range(int(rng.choice(4, p=[0.3, 0.3, 0.25, 0.15]))):
        palette = draw_palette(rng)
        target = placed[int(rng.integers(len(placed)))]
        sprite = dressed(stage, _cover(stage, palette, target.visible), palette.second)
        before = stage.picture.copy()
        covered = np.maximum(total, stage.paste(sprite))
        if all(thing.hidden(covered) <= MOST_HIDDEN for thing in placed):
            total = covered
        else:
            stage.picture = before
    return total


def _cover(stage: Stage, palette: Palette, target: Field) -> list[Part]:
    """Draws something that stands or hangs in front of a random pixel of ``target``."""
    rng, height = stage.rng, stage.size[1]
    rows, columns = np.nonzero(target > 0.5)
    k = int(rng.integers(len(rows)))
    if rng.random() < 0.25:
        drawn, base = HANGING[int(rng.integers(len(HANGING)))](rng, palette), float(rows[k])
        tall = max(base + 0.05 * height, 0.4 * height)
    else:
        drawn, base = COVERS[int(rng.integers(len(COVERS)))](rng, palette), float(rows[-1]) + 1
        tall = min(max(base - rows[k], 0.1 * height) * rng.uniform(0.6, 1.2), 0.34 * height)
        base += rng.uniform(0.0, 0.06) * height
    return shifted(fitted(drawn, tall, rng.normal(0, 0.1), bool(k % 2), 1.0), float(columns[k]), base)
