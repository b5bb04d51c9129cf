"""Draws a map over its image with the outlines of the truth, as a `data:` address."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image, ImageDraw

from ..errors import UnreadableImage
from ..evaluation.raster import TruthRaster
from ..images.geometry import fitted
from ..maps.colormaps import palette
from ..maps.sketch import enlarged
from ..outputs.rows import ImageRow
from ..outputs.run_folder import RunFolder
from .pictures import picture_of

SIDE = 256
#: Colours of the outline and of its border.
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def marked_picture(run: RunFolder, row: ImageRow, cells: np.ndarray | None, truth: TruthRaster | None = None) -> str:
    """Image of a row under its sketch, with outlines of the truth; grey if the run has no image of it. Long side:
    `SIDE` pixels."""
    width, height = fitted(row.get("width", 1), row.get("height", 1), SIDE)
    name, kind = picture_of(row)
    canvas = _read(run, name, (width, height)) if name and kind in ("picture", "overlay") else None
    picture = canvas or Image.new("RGB", (width, height), (128, 128, 128))
    # An overlay already shows its map.
    heat = enlarged(cells, width, height, SIDE) if cells is not None and not (canvas and kind == "overlay") else None
    if heat is not None:
        levels = Image.fromarray(np.rint(heat * 255).clip(0, 255).astype(np.uint8), "P")
        levels.putpalette(palette("turbo").tobytes())
        picture = Image.blend(picture, levels.convert("RGB"), 0.5)
    if truth is not None:
        _outline(picture, truth)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _read(run: RunFolder, name: str, size: tuple[int, int]) -> Image.Image | None:
    try:
        with run.picture(name) as image:
            return image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    except UnreadableImage:
        return None


def _outline(picture: Image.Image, truth: TruthRaster) -> None:
    """Edges of the masks, or boxes if there are no masks; white on black, visible on any image."""
    rows, columns = truth.inside.shape
    if not truth.outlined:
        draw = ImageDraw.Draw(picture)
        scale = np.array([picture.width / columns, picture.height / rows] * 2)
        for box in truth.boxes * scale:
            left, top, right, bottom = (round(float(edge)) for edge in box)
            draw.rectangle((left - 1, top - 1, right, bottom), outline=_BLACK)
            draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=_WHITE)
        return
    mask = Image.fromarray(((truth.inside >= 0.5) * 255).astype(np.uint8)).resize(picture.size)
    inside = np.pad(np.asarray(mask) > 0, 1)
    inner = inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    edge = inside[1:-1, 1:-1] & ~inner
    around = np.pad(edge, 1)
    near = around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:]
    for place, colour in ((near & ~edge, _BLACK), (edge, _WHITE)):
        picture.paste(colour, mask=Image.fromarray((place * 255).astype(np.uint8)))
