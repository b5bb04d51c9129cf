"""Recognises JPEG files that all decoders read alike, from their header."""

from __future__ import annotations

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

_BASELINE, _SCAN, _END = 0xC0, 0xDA, b"\xff\xd9"
#: Markers of tables, not of a frame.
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
#: Allowed chroma subsampling, across and down.
_SUBSAMPLINGS = ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1))
_RGB = (ord("R"), ord("G"), ord("B"))


def is_plain(image: Image.Image, data: bytes) -> bool:
    """Whether `data`, whose header is open as `image`, is one whole baseline image of 8 bits, grey or YCbCr."""
    # Pillow has another class, MPO, for files with several images.
    if type(image) is not JpegImageFile or image.mode not in ("L", "RGB"):
        return False
    try:
        frame, scan = _frame_and_scan(data)
    except IndexError:
        return False
    whole = data.rfind(_END, scan) > 0
    return frame == _BASELINE and whole and (image.mode == "L" or _is_ycbcr(image))


def _is_ycbcr(image: JpegImageFile) -> bool:
    names, across, down, _ = zip(*image.layer)
    colours = {*zip(across[1:], down[1:])}
    return (
        image.info.get("adobe_transform") != 0
        and names != _RGB
        and colours == {(1, 1)}
        and (across[0], down[0]) in _SUBSAMPLINGS
    )


def _frame_and_scan(data: bytes) -> tuple[int, int]:
    """Marker of the coding process, and the offset of the pixels. Raises `IndexError` without them."""
    place, frame = 2, 0
    while True:
        if data[place] != 0xFF:
            raise IndexError(place)
        marker = data[place + 1]
        if marker == _SCAN:
            return frame, place
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            frame = marker
        # Any number of 0xFF may precede a marker.
        place += 1 if marker == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
