"""JPEG files at a smaller scale: their decoder leaves out what a reduced image does not show.

A JPEG image is stored as the frequencies of blocks of 8×8 pixels. From the low ones alone libjpeg makes 4×4, 2×2 or
one pixel of each block, for a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL.JpegImagePlugin import JpegImageFile

from .decode import Reading, loaded, opened
from .geometry import Extent, Frame
from .orientation import Orientation, orientation_of
from .pixels import Pixels

_SCALES = (8, 4, 2)
#: Decoded pixels per side, at least, for one of what is made of them.
_SPARE = 2
#: A progressive file is decoded from all its frequencies, two bytes each for three channels, whatever the scale.
_PROGRESSIVE = 6

Least = Callable[[int, int], tuple[int, int]]


def decode_draft(data: bytes, least: Least, reading: Reading = Reading()) -> tuple[Pixels, Extent]:
    """The pixels of a file, and what they show; those of a JPEG file at a smaller scale where that is enough.

    Enough are twice as many pixels per side as `least` says of the upright width and height. Raises as `decode` does;
    `max_pixels` counts those of the file.
    """
    with opened(data, max_pixels=reading.max_pixels) as image:
        # Other formats may have to decode their pixels to tell how they are turned.
        if not isinstance(image, JpegImageFile):
            whole = loaded(image, data, reading)
            return whole, Extent.whole(*whole.image.size)
        turn = orientation_of(image) if reading.options.exif == "apply" else Orientation()
        width, height = image.size
        upright = turn.size(width, height)
        extent, beside = Extent.whole(*upright), 0
        scale = _scale(width, height, turn.size(*least(*upright)))
        # Pillow takes the largest scale that leaves this size.
        if scale > 1 and image.draft(image.mode, (width // scale, height // scale)):
            beside = width * height * _PROGRESSIVE if image.info.get("progressive") else 0
            # The last row and column of a side that is no multiple of the scale show less than a whole pixel.
            box = Frame(0, 0, width / scale, height / scale)
            extent = Extent(*upright, turn.box(box, *image.size))
        return loaded(image, data, reading, beside=beside), extent


def _scale(width: int, height: int, least: tuple[int, int]) -> int:
    """By how much the decoder may divide both sides."""
    for scale in _SCALES:
        if min(-(-width // scale) / least[0], -(-height // scale) / least[1]) >= _SPARE:
            return scale
    return 1
