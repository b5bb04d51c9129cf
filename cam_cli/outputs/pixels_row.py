"""The way in which the pixels of an image were read, in its row of the journal: every field with its type and range."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .shapes import Length, Range


class PixelsRow(TypedDict, total=False):
    """Decisions on the pixels of an image; where there was nothing to decide, a field is left out."""

    #: Mode of the file as Pillow names it, or type and shape of an array. Absent for RGB and grey of 8 bits.
    mode: str
    #: Levels of 16 bits, 32 bits or float that became 0 and 255.
    levels: Annotated[list[float], Length(2)]
    #: Level that stands for no value; it became 0.
    nodata: float
    #: How many images the file holds. Absent for one.
    frames: Annotated[int, Range(2, 1e6)]
    #: Which of them is explained, from 1.
    frame: Annotated[int, Range(1, 1e6)]
    #: Orientation in the EXIF data, which is undone unless `--exif ignore`. Absent for upright images.
    orientation: Annotated[int, Range(2, 8)]
    #: `false` where pixels are transparent: the network sees what lies under them.
    opaque: bool
    #: Bands that the network was given, from 1, in their order.
    bands: list[Annotated[int, Range(1, 1e6)]]
