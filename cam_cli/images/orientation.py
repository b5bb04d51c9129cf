"""EXIF orientation: converts sizes and rectangles from stored to upright pixels."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from .geometry import Frame

_ORIENTATION = 0x0112


class Orientation(NamedTuple):
    """Steps that turn a stored image upright: first swap rows and columns, then left and right, top and bottom."""

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height upright."""
        return (height, width) if self.transposed else (width, height)

    def box(self, box: Frame, width: int, height: int) -> Frame:
        """Converts a rectangle in `width`×`height` stored pixels to the upright image."""
        left, top, right, bottom = box
        if self.transposed:
            left, top, right, bottom = top, left, bottom, right
        width, height = self.size(width, height)
        if self.mirrored:
            left, right = width - right, width - left
        if self.flipped:
            top, bottom = height - bottom, height - top
        return Frame(left, top, right, bottom)


#: Orientations by their EXIF number.
_TURNS = {
    2: Orientation(mirrored=True),
    3: Orientation(mirrored=True, flipped=True),
    4: Orientation(flipped=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, mirrored=True),
    7: Orientation(transposed=True, mirrored=True, flipped=True),
    8: Orientation(transposed=True, flipped=True),
}


def number_of(turn: Orientation) -> int:
    """EXIF number of a turn; 1 for none."""
    return next((number for number, one in _TURNS.items() if one == turn), 1)


def orientation_by(number: int) -> Orientation:
    """Orientation of a number in EXIF data; none for other numbers."""
    return _TURNS.get(number, Orientation())


def orientation_of(image: Image.Image) -> Orientation:
    """Orientation that `ImageOps.exif_transpose` applies to a JPEG file, from its header.

    An image with broken EXIF data is not turned.
    """
    try:
        exif = image.getexif()
        turn = _TURNS.get(exif.get(_ORIENTATION, 1), Orientation())
        # As in Pillow: EXIF data that cannot be serialised turn nothing.
        exif.tobytes()
    # The pixels of an image with broken EXIF data are valid.
    except Exception:
        return Orientation()
    return turn
