"""Decisions on the pixels of an image, as fields of its journal row, with types and ranges."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .shapes import Length, Range


class PixelsRow(TypedDict, total=False):
    """Decisions on the pixels of an image. A field is absent if there was nothing to decide."""

    #: Mode of the file as Pillow names it, or type and shape of an array. Absent for RGB and grey of 8 bits.
    mode: str
    #: Levels of a 16-bit, 32-bit or float image that became 0 and 255.
    levels: Annotated[list[float], Length(2)]
    #: Level that marks missing values; it became 0.
    nodata: float
    #: Number of images in the file. Absent for one.
    frames: Annotated[int, Range(2, 1e6)]
    #: Number of the explained one, from 1.
    frame: Annotated[int, Range(1, 1e6)]
    #: Orientation in the EXIF data; camx rotates the image upright unless `--exif ignore`. Absent for upright images.
    orientation: Annotated[int, Range(2, 8)]
    #: `false` if pixels are transparent: the network sees the colours stored under them.
    opaque: bool
    #: Bands of the network's input, from 1, in order.
    bands: list[Annotated[int, Range(1, 1e6)]]
