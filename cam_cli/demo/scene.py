"""Composes an image: backdrop, clutter, objects with exact masks, covers, toning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from .catalogue import AIRBORNE, CLASSES, DRAWINGS
from .palette import draw_palette
from .raster import extent
from .shapes import Colour, Part
from .stage import Mask, Placed, Stage, dressed, fitted, set_stage, shifted
from .surroundings import add_covers, scatter_clutter
from .tone import finish


@dataclass(frozen=True)
class DrawnObject:
    """One object: class ``name``, class ``index``, and ``mask`` (H×W bool) of its visible pixels."""

    name: str
    index: int
    mask: Mask


@dataclass(frozen=True)
class Scene:
    """A rendered image (RGB) and the objects in it."""

    image: Image.Image
    objects: tuple[DrawnObject, ...]


def _posed(stage: Stage, name: str, crowd: int) -> tuple[list[Part], Colour]:
    """Draws the class at its size in pixels, its base centre at the origin; returns the parts and its second colour."""
    rng, (width, height) = stage.rng, stage.size
    palette = draw_palette(rng)
    drawn = DRAWINGS[name](rng, palette)
    tall = rng.uniform(0.27, 0.65 if crowd == 1 else 0.46) * min(height, width)
    turn = rng.normal(0, 0.3) if name in AIRBORNE else rng.normal(0, 0.07)
    turn = float(np.clip(turn, -0.8, 0.8))
    parts = fitted(drawn, tall, turn, bool(rng.random() < 0.5), rng.uniform(0.88, 1.12))
    return parts, palette.second


def _spot(stage: Stage, parts: Sequence[Part], name: str, slot: tuple[float, float]) -> list[Part]:
    """Moves parts to a random place inside the image, their base's x within ``slot`` (0..1)."""
    rng, (width, height) = stage.rng, stage.size
    x0, y0, x1, _ = extent(parts)
    low, high = max(slot[0] * width, 2 - x0), min(slot[1] * width, width - 2 - x1)
    x = rng.uniform(low, high) if high > low else float(np.clip((low + high) / 2, 2 - x0, width - 2 - x1))
    top, bottom = 2 - y0, height - 2.0
    if name not in AIRBORNE or rng.random() < 0.4:
        top = min(max(top, stage.horizon + 0.04 * height), bottom)
    return shifted(parts, x, rng.uniform(top, bottom))


def _shared(a: Sequence[Part], b: Sequence[Part]) -> float:
    """Returns the share of the smaller of two drawings' boxes that lies in the other, 0..1."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = extent(a), extent(b)
    common = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    return common / min((ax1 - ax0) * (ay1 - ay0), (bx1 - bx0) * (by1 - by0))


def _arranged(stage: Stage, names: Sequence[str], posed: Sequence[Sequence[Part]]) -> list[list[Part]]:
    """Moves the drawings to random places; of ten attempts the first that hardly overlaps, else the best."""
    if len(names) == 1:
        return [_spot(stage, posed[0], names[0], (0.0, 1.0))]
    tries = []
    for _ in range(10):
        cut = stage.rng.uniform(0.4, 0.6)
        slots = [(0.0, cut), (cut, 1.0)][:: int(stage.rng.choice([-1, 1]))]
        spots = [_spot(stage, *one) for one in zip(posed, names, slots, strict=True)]
        tries.append((_shared(spots[0], spots[1]), spots))
        if tries[-1][0] < 0.15:
            break
    return min(tries, key=lambda t: t[0])[1]


def _place(stage: Stage, names: Sequence[str]) -> list[Placed]:
    """Draws the objects back to front; returns them in the order of ``names``."""
    posed, colours = zip(*(_posed(stage, name, len(names)) for name in names), strict=True)
    spots = _arranged(stage, names, posed)
    done: dict[int, Placed] = {}
    for k in sorted(range(len(names)), key=lambda i: extent(spots[i])[3]):
        stage.shade(spots[k], names[k] not in AIRBORNE, stage.rng.uniform(0.3, 0.6))
        alpha = stage.paste(dressed(stage, spots[k], colours[k]))
        for earlier, thing in done.items():
            done[earlier] = replace(thing, visible=np.minimum(thing.visible, 1 - alpha))
        done[k] = Placed(float((alpha > 0.5).sum()), alpha)
    return [done[k] for k in range(len(names))]


def render(seed: int, size: tuple[int, int] = (160, 160), classes: Sequence[str] | None = None) -> Scene:
    """Draws the image of ``seed``: ``size`` is (width, height) in pixels, ``classes`` one or two class names.

    Without ``classes``, the seed chooses one class. Equal arguments give equal images.
    """
    rng = np.random.default_rng(seed)
    names = tuple(classes) if classes is not None else (CLASSES[int(rng.integers(len(CLASSES)))],)
    if not 1 <= len(names) <= 2 or any(name not in DRAWINGS for name in names):
        raise ValueError(f"classes must be one or two of {', '.join(CLASSES)}; got {', '.join(names) or 'none'}")
    stage = set_stage(rng, size)
    scatter_clutter(stage)
    placed = _place(stage, names)
    cover = add_covers(stage, placed)
    image = finish(rng, stage.picture)
    objects = (
        DrawnObject(name, CLASSES.index(name), thing.visible_under(cover))
        for name, thing in zip(names, placed, strict=True)
    )
    return Scene(image, tuple(objects))
