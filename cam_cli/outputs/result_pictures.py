"""Opens images that camx wrote, only with the decoders of these formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from ..errors import UnreadableImage
from ..images.decode import open_image

#: Formats that camx writes.
_FORMATS = ("JPEG", "PNG", "WEBP")


@contextmanager
def opened_result(data: bytes) -> Iterator[Image.Image]:
    """Opens a result as an image: reads the header, decodes nothing.

    Raises `UnreadableImage` for every fault, also for one of decoding inside the context.
    """
    with open_image(data) as image:
        if image.format not in _FORMATS:
            raise UnreadableImage(f"camx writes no {image.format} files")
        yield image
