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

#: Long side of the grid of a mask.
GRID = 112
#: The names of the levels of a mask, in shares of the peak.
LEVELS = ("below 25 %", "25–50 %", "50–75 %", "75–100 %")
#: The names of the levels that follow where a map has signs: what speaks against the class.
AGAINST = ("25–50 % against", "50–75 % against", "75–100 % against")


def opened(path: str, side: int) -> Image.Image:
    """An image as a person sees it, 8-bit RGB, at most `side` pixels long; a large JPEG is decoded in part.

    Raises `OSError` or whatever a decoder comes up with.
    """
    with Image.open(io.BytesIO(read(path)), formats=readable_formats()) as image:
        image.draft("RGB", (side, side))
        image.load()
        picture = upright_rgb(image)
    size = fitted(picture.width, picture.height, side)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def level_names(maps: Sequence[MapRow]) -> tuple[str, ...]:
    """The names of the levels in the grids of these maps of the journal."""
    signed = any(sketch.get("signed") for map_row in maps if (sketch := map_row.get("sketch")))
    return LEVELS + AGAINST if signed else LEVELS


def levels_of(map_row: MapRow, width: int, height: int) -> np.ndarray | None:
    """The sketch of a map in the journal as a grid h×w of levels over the whole image of `width`×`height`: uint8.

    0 … 3 are the quarters of the peak (`LEVELS`); where a map has signs, 4 … 6 speak against the class (`AGAINST`).
    None where the map has no sketch.
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
