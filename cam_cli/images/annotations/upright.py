"""Annotations in pixels of the upright image, checked against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ..orientation import Orientation
from .shapes import Box, Polygons, RunLengths, Shape
from .truth import Annotations, Problems, Size, TruthObject

#: Tools round: a box may reach outside by this many pixels without a word.
_SLACK = 1.0
#: Corners of polygons further away than this many images are no mistake of rounding.
_FAR = 4.0


def upright(
    annotations: Annotations, image: str, size: Size, orientation: Callable[[], Orientation | None], problems: Problems
) -> tuple[TruthObject, ...] | None:
    """The objects of an image of an upright `size`, in its pixels; those of no use become problems.

    A stated size that is that of the upright image is taken as such. One with the sides exchanged is that of the
    pixels as they are stored, and is turned as `orientation` (asked only then) says. None where neither fits.
    """
    turn, stated = Orientation(), annotations.size or size
    if stated != size:
        found = orientation() if stated == (size[1], size[0]) else None
        if found is None or not found.transposed:
            detail = f"the truth says {stated[0]}×{stated[1]}, the picture is {size[0]}×{size[1]}"
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
            problems.add(image, thing, "cut at the edge of the picture", _edges(box))
        yield replace(placed, box=inside)


def _turned(shape: Shape, turn: Orientation, stated: Size) -> Shape:
    """Raises `ValueError` for run lengths that are not those of the stated image."""
    if isinstance(shape, RunLengths) and (shape.width, shape.height) != stated:
        raise ValueError(f"run lengths of {shape.width}×{shape.height} in a picture of {stated[0]}×{stated[1]}")
    return shape if turn == Orientation() else shape.upright(turn, *stated)


def _refusal(one: TruthObject, size: Size) -> tuple[str, str]:
    """Why an object is not scored, and more of it; two empty texts for one that is."""
    if isinstance(one.shape, Polygons) and any(_far(ring, size) for ring in one.shape.rings):
        return "outside the picture", "a corner lies far outside"
    for box in (one.shape.bounds(), one.box):
        if box is not None and (box.right <= box.left or box.bottom <= box.top):
            return "degenerate box", _edges(box)
        if box is not None and box.clipped(*size).area <= 0:
            return "outside the picture", _edges(box)
    return "", ""


def _far(ring: np.ndarray, size: Size) -> bool:
    return bool((np.abs(ring) > (1 + _FAR) * np.array(size)).any())


def _edges(box: Box) -> str:
    return ", ".join(f"{edge:g}" for edge in box)
