"""Small images of rows, and sketches of maps as masks of a few levels."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..images.decode import read, readable_formats
from ..images.geometry import fitted
from ..images.pixels import upright_rgb
from ..maps.sketch import decode
from ..outputs.rows import MapRow

#: Long side of the grid of a mask, in cells.
GRID = 112
#: Names of the levels of a mask: shares of the peak.
LEVELS = ("below 25 %", "25–50 %", "50–75 %", "75–100 %")
#: Names of the further levels of a signed map: evidence against the class.
AGAINST = ("25–50 % against", "50–75 % against", "75–100 % against")


def open_small(path: str, side: int) -> Image.Image:
    """Opens an image upright as 8-bit RGB, with a long side of at most `side` pixels. Large JPEG files are decoded at a
    smaller scale.

    Raises `OSError` or any exception of a decoder.
    """
    with Image.open(io.BytesIO(read(path)), formats=readable_formats()) as image:
        image.draft("RGB", (side, side))
        image.load()
        picture = upright_rgb(image)
    size = fitted(picture.width, picture.height, side)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def level_names(maps: Sequence[MapRow]) -> tuple[str, ...]:
    """Names of the levels in the grids of these map rows."""
    signed = any(sketch.get("signed") for map_row in maps if (sketch := map_row.get("sketch")))
    return LEVELS + AGAINST if signed else LEVELS


def levels_of(map_row: MapRow, width: int, height: int) -> np.ndarray | None:
    """The sketch of a map row as a grid h×w (uint8) of levels over the whole image of `width`×`height`.

    0 … 3 are quarters of the peak (`LEVELS`); in a signed map 4 … 6 are evidence against the class (`AGAINST`).
    None if the map has no sketch.
    """
    sketch = map_row.get("sketch")
    if not sketch:
        return None
    cells, size = decode(sketch), fitted(width, height, GRID)
    strength = Image.fromarray(np.rint(np.abs(cells) * 255).astype(np.uint8))
    levels: np.ndarray = np.asarray(strength.resize(size, Image.Resampling.BICUBIC)) // 64
    if sketch.get("signed"):
        against = np.asarray(Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)) < 0
        levels[against & (levels > 0)] += len(AGAINST)
    return levels
