"""Decodes JPEG files at a smaller scale, which is faster.

JPEG stores blocks of 8×8 pixels as frequencies. From the low frequencies alone libjpeg computes 4×4, 2×2 or 1 pixel
per block in a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL.JpegImagePlugin import JpegImageFile

from .decode import Reading, loaded, open_image
from .geometry import Extent, Frame
from .orientation import Orientation, orientation_of
from .pixels import Pixels

_SCALES = (8, 4, 2)
#: Decoded pixels per side, at least, for each pixel of the result.
_SPARE = 2
#: Memory per pixel of a progressive file at any scale: all frequencies, two bytes each for three channels.
_PROGRESSIVE = 6

Least = Callable[[int, int], tuple[int, int]]


def decode_draft(data: bytes, least: Least, reading: Reading = Reading()) -> tuple[Pixels, Extent]:
    """Pixels of a file and their extent. JPEG files are decoded at a smaller scale if that suffices.

    Sufficient means twice `least` (upright width and height) per side. Raises as `decode` does. `max_pixels` counts the
    pixels of the file.
    """
    with open_image(data, max_pixels=reading.max_pixels) as image:
        # Other formats may have to decode their pixels to find the orientation.
        if not isinstance(image, JpegImageFile):
            whole = loaded(image, data, reading)
            return whole, Extent.whole(*whole.image.size)
        turn = orientation_of(image) if reading.options.exif == "apply" else Orientation()
        width, height = image.size
        upright = turn.size(width, height)
        extent, beside = Extent.whole(*upright), 0
        scale = _scale(width, height, turn.size(*least(*upright)))
        # Pillow reduces as far as this size allows.
        if scale > 1 and image.draft(image.mode, (width // scale, height // scale)):
            beside = width * height * _PROGRESSIVE if image.info.get("progressive") else 0
            # If a side is no multiple of the scale, its last row or column covers less than a whole pixel.
            box = Frame(0, 0, width / scale, height / scale)
            extent = Extent(*upright, turn.box(box, *image.size))
        return loaded(image, data, reading, beside=beside), extent


def _scale(width: int, height: int, least: tuple[int, int]) -> int:
    """Largest divisor of both sides that the decoder may use."""
    for scale in _SCALES:
        if min(-(-width // scale) / least[0], -(-height // scale) / least[1]) >= _SPARE:
            return scale
    return 1
