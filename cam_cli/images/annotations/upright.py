"""Converts annotations to pixels of the upright image, and checks them against its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ..orientation import Orientation
from .shapes import Box, Polygons, RunLengths, Shape
from .truth import Annotations, Problems, Size, TruthObject

#: Pixels by which a box may reach outside the image without a warning, because tools round.
_SLACK = 1.0
#: Largest distance of a polygon corner outside, in image sizes; farther ones are no rounding.
_FAR = 4.0


def upright(
    annotations: Annotations, image: str, size: Size, orientation: Callable[[], Orientation | None], problems: Problems
) -> tuple[TruthObject, ...] | None:
    """Objects in pixels of an upright image of `size`. Unusable ones become problems.

    If the stated size equals the upright one, coordinates are upright. If its sides are exchanged, coordinates are
    those of the stored pixels, and are turned by `orientation` (called only then). None if neither fits.
    """
    turn, stated = Orientation(), annotations.size or size
    if stated != size:
        found = orientation() if stated == (size[1], size[0]) else None
        if found is None or not found.transposed:
            detail = f"the truth states {stated[0]}×{stated[1]}, the image has {size[0]}×{size[1]}"
            problems.add(image, "", "wrong size", detail)
            return None
        turn = found
    return tuple(_usable(annotations.objects, turn, stated, image, size, problems))


def _usable(
    objects: tuple[TruthObject, ...], turn: Orientation, stated: Size, image: str, size: Size, problems: Problems
) -> Iterator[TruthObject]:
    for number, one in enumerate(objects):
        thing = f"object {number}" + (f" ({one.name})" if one.name else "")
        try:
            placed = replace(
                one,
                shape=_turned(one.shape, turn, stated),
                box=None if one.box is None else one.box.upright(turn, *stated),
            )
            reason, detail = _refusal(placed, size)
        except ValueError as error:
            reason, detail = "bad segmentation", str(error)
        if reason:
            problems.add(image, thing, reason, detail)
            continue
        box = placed.box or placed.shape.bounds()
        inside = box.clipped(*size)
        if max(abs(a - b) for a, b in zip(box, inside)) > _SLACK:
            problems.add(image, thing, "cut at the edge of the image", _edges(box))
        yield replace(placed, box=inside)


def _turned(shape: Shape, turn: Orientation, stated: Size) -> Shape:
    """Turns a shape. Raises `ValueError` for run lengths of another size than the stated one."""
    if isinstance(shape, RunLengths) and (shape.width, shape.height) != stated:
        raise ValueError(f"run lengths of {shape.width}×{shape.height} in an image of {stated[0]}×{stated[1]}")
    return shape if turn == Orientation() else shape.upright(turn, *stated)


def _refusal(one: TruthObject, size: Size) -> tuple[str, str]:
    """Reason and detail if an object is not scored; else two empty texts."""
    if isinstance(one.shape, Polygons) and any(_far(ring, size) for ring in one.shape.rings):
        return "outside the image", "a corner lies far outside"
    for box in (one.shape.bounds(), one.box):
        if box is not None and (box.right <= box.left or box.bottom <= box.top):
            return "degenerate box", _edges(box)
        if box is not None and box.clipped(*size).area <= 0:
            return "outside the image", _edges(box)
    return "", ""


def _far(ring: np.ndarray, size: Size) -> bool:
    return bool((np.abs(ring) > (1 + _FAR) * np.array(size)).any())


def _edges(box: Box) -> str:
    return ", ".join(f"{edge:g}" for edge in box)
