"""Writes masks as PNG files whose levels are classes, as `camx evaluate --truth` reads them."""

from __future__ import annotations

import colorsys
import io
import json
from collections.abc import Iterator

import numpy as np
from PIL import Image, PngImagePlugin

from ..errors import CamxError
from .findings import Exported, ImageFindings
from .stems import by_stem

#: Most classes: level 255 means void.
_MOST_CLASSES = 254
BACKGROUND = "background"


def mask_files(exported: Exported) -> Iterator[tuple[str, Iterator[bytes]]]:
    """`masks/<name without extension>.png` for every image in its size, and `masks/classes.txt` with a name per level.

    The most probable class covers others. Raises `CamxError` for more classes than levels.
    """
    if len(exported.names) > _MOST_CLASSES:
        raise CamxError(
            f"Masks have levels for {_MOST_CLASSES} classes, but the run has {len(exported.names)}.",
            "Give `format=coco` and `shape=mask`, or a higher `min_prob`.",
        )
    levels = {name: level for level, name in enumerate(exported.names, start=1)}
    lines = "\n".join([BACKGROUND, *exported.names]) + "\n"
    yield "masks/classes.txt", iter([lines.encode("utf-8", "backslashreplace")])
    for stem, image in by_stem(exported):
        yield f"masks/{stem}.png", iter([_encoded(image, levels, exported)])


def _encoded(image: ImageFindings, levels: dict[str, int], exported: Exported) -> bytes:
    pixels = np.zeros((image.height, image.width), np.uint8)
    for found in reversed(image.found):
        pixels[found.mask(image.width, image.height)] = levels[found.name]
    picture = Image.fromarray(pixels, "P")
    picture.putpalette(_palette())
    about = PngImagePlugin.PngInfo()
    about.add_itxt("camx", json.dumps(exported.provenance, ensure_ascii=False))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


def _palette() -> bytes:
    """Palette: black for the background, then clearly different hues for successive levels."""
    colours = [colorsys.hsv_to_rgb(level * 0.618 % 1, 0.75, 0.95) for level in range(1, 256)]
    return bytes(3) + bytes(round(255 * part) for colour in colours for part in colour)
