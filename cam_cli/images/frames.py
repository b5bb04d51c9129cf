"""Files with several images: how many a file has, and where each begins."""

from __future__ import annotations

import contextlib
import io

from PIL import Image

#: Formats whose files may hold several images. The others of an MPO file are previews of its first one.
_SEVERAL = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")
#: The tag of a TIFF page that is a smaller copy of another one (1), or a mask of it (4).
_KIND, _NO_PICTURE = 254, 1 | 4
#: Files with more are a mistake, or an attack.
_MOST = 10_000


def frame_places(data: bytes, image: Image.Image) -> list[int]:
    """The places of the images in a file, as `seek` takes them; `image` is the file, open. Not empty.

    Smaller copies and masks in a TIFF file are no images.
    """
    if image.format not in _SEVERAL:
        return [0]
    if image.format in ("AVIF", "PNG", "WEBP"):
        return list(range(min(_MOST, getattr(image, "n_frames", 1))))
    # On a second opening: to look for the end of the file may change what is read from the first one.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data), formats=(image.format,)) as file:
        count = min(_MOST, getattr(file, "n_frames", 1))
        return [place for place in range(count) if image.format == "GIF" or _is_picture(file, place)] or [0]
    # The first one may be whole all the same.
    return [0]


def _is_picture(file: Image.Image, place: int) -> bool:
    file.seek(place)
    return not int(getattr(file, "tag_v2", {}).get(_KIND, 0) or 0) & _NO_PICTURE
