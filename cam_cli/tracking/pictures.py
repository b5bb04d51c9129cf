"""The plain picture of a row, small, and its maps as a grid of levels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ..images.decode import FORMATS, read, upright_rgb
from ..images.geometry import fitted
from ..maps.sketch import decode
from ..outputs.rows import MapRow

#: Long side of the grid of a mask.
GRID = 112
#: What the levels of a mask are called, in shares of the peak.
LEVELS = ("below 25 %", "25–50 %", "50–75 %", "75–100 %")


def opened(path: str, side: int) -> Image.Image:
    """A picture as a person sees it, 8-bit RGB, at most `side` pixels long; a large JPEG is decoded in part.

    Raises `OSError` or whatever a decoder comes up with.
    """
    with Image.open(io.BytesIO(read(path)), formats=FORMATS) as image:
        image.draft("RGB", (side, side))
        image.load()
        picture = upright_rgb(image)
    size = fitted(picture.width, picture.height, side)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def levels_of(shown: MapRow, width: int, height: int) -> np.ndarray | None:
    """The sketch of a map in the journal as a grid h×w of 0 … 3 (`LEVELS`) over the whole picture of `width`×`height`.

    None where the map has none.
    """
    sketch = shown.get("sketch")
    if not sketch:
        return None
    cells = decode(sketch)
    grid = np.asarray(Image.fromarray(cells).resize(fitted(width, height, GRID), Image.Resampling.BICUBIC))
    levels: np.ndarray = grid // 64
    return levels
