"""Images that camx wrote, opened with the decoders of the formats that it writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from ..errors import UnreadableImage
from ..images.decode import open_image

#: Formats of the images that camx writes.
_FORMATS = ("JPEG", "PNG", "WEBP")


@contextmanager
def opened_result(data: bytes) -> Iterator[Image.Image]:
    """The bytes of a result as an image, with its header read and nothing decoded.

    Whatever is wrong with it, also what comes out while it is open, is raised as `UnreadableImage`.
    """
    with open_image(data) as image:
        if image.format not in _FORMATS:
            raise UnreadableImage(f"camx writes no {image.format} files")
        yield image
