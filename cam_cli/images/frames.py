"""Finds the frames of files with several images."""

from __future__ import annotations

import contextlib
import io

from PIL import Image

#: Formats with several images per file. Not MPO: its further images are previews of the first.
_SEVERAL = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")
#: TIFF tag of the kind of a page: bit 1 for a smaller copy of another page, bit 4 for a mask.
_KIND, _NO_PICTURE = 254, 1 | 4
#: Most frames of a file; more are a mistake or an attack.
_MOST = 10_000


def frame_places(data: bytes, image: Image.Image) -> list[int]:
    """Positions of the frames in a file for `seek`; at least one. `image` is the open file.

    Smaller copies and masks in a TIFF file do not count.
    """
    if image.format not in _SEVERAL:
        return [0]
    if image.format in ("AVIF", "PNG", "WEBP"):
        return list(range(min(_MOST, getattr(image, "n_frames", 1))))
    # Opens the file again: searching for its end may change later reads.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data), formats=(image.format,)) as file:
        count = min(_MOST, getattr(file, "n_frames", 1))
        return [place for place in range(count) if image.format == "GIF" or _is_picture(file, place)] or [0]
    # The first frame may still be intact.
    return [0]


def _is_picture(file: Image.Image, place: int) -> bool:
    file.seek(place)
    return not int(getattr(file, "tag_v2", {}).get(_KIND, 0) or 0) & _NO_PICTURE
