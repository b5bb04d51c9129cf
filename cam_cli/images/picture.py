"""One image, ready for the network and for the page: what a decoding worker hands on."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from PIL import Image

from ..errors import UnreadableImage
from .decode import MAX_PIXELS, NeedsMemory, allow_pixels, decode, read
from .draft import decode_draft
from .geometry import Extent, Frame, Preprocessing, fitted
from .sources import Source

#: How large the picture under an overlay is: a long side in pixels, its own size, or as the network saw it.
CanvasSize = int | Literal["original", "model"]

#: How files are decoded: as they are, or large JPEG files at a smaller scale that is enough.
DECODINGS = ("exact", "draft")


class FileState(NamedTuple):
    """Size in bytes and time of change in nanoseconds, by which a later run sees that the file is another one."""

    size: int
    mtime_ns: int


NO_FILE = FileState(-1, -1)


@dataclass(frozen=True)
class Picture:
    """An upright picture of a file in a `state`: its size, its share that the network sees, and a copy to draw on.

    `input` is uint8 h×w×C as the network wants it, before normalisation, or float32 after it; `canvas` is uint8
    H×W×3 RGB, the whole picture at the size of the overlay; `frame` is what `input` shows, in pixels of
    `width`×`height`.
    """

    source: Source
    width: int
    height: int
    input: np.ndarray
    frame: Frame
    canvas: np.ndarray
    state: FileState = NO_FILE

    @property
    def nbytes(self) -> int:
        """The memory of its pixels."""
        return self.input.nbytes + self.canvas.nbytes


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be explained, and why."""

    source: Source
    reason: str
    state: FileState = NO_FILE
    nbytes: ClassVar[int] = 0


class Large(NamedTuple):
    """A picture that has not been decoded: it would take so many bytes."""

    bytes: int


class Fetched(NamedTuple):
    """An image whose bytes are here already, since they come from elsewhere."""

    source: Source
    data: bytes


def load(
    image: Source | Fetched,
    preprocessing: Preprocessing,
    canvas: CanvasSize = 512,
    max_pixels: int = MAX_PIXELS,
    decoding: str = "exact",
    *,
    unasked: int | None = None,
) -> Picture | Unreadable | Large:
    """Read, decode and prepare one image. Whatever is wrong with the file becomes an `Unreadable`.

    `Large` only where `unasked` is given and decoding takes more bytes than that.
    """
    source = image.source if isinstance(image, Fetched) else image
    state = state_of(source)
    allow_pixels(max_pixels)
    try:
        data = image.data if isinstance(image, Fetched) else read(source.path, source.span)
        extent: Extent | None = None
        if decoding == "draft":
            least = partial(_least, preprocessing, canvas)
            decoded, extent = decode_draft(data, least, max_pixels=max_pixels, unasked=unasked)
        else:
            decoded = decode(data, max_pixels=max_pixels, unasked=unasked)
        picture = prepare(decoded, source, preprocessing, canvas, extent)
    except NeedsMemory as error:
        return Large(error.bytes)
    except UnreadableImage as error:
        return Unreadable(source, str(error), state)
    # A picture that was decoded can still be too much for the resizing: its problem, not its neighbours'.
    except (MemoryError, ValueError, OSError) as error:
        return Unreadable(source, f"cannot be prepared: {str(error) or 'not enough memory'}", state)
    return replace(picture, state=state)


def state_of(source: Source) -> FileState:
    """The state of an image, as its listing has told it, or as the file system does."""
    return file_state(source.path) if source.told is None else FileState(*source.told)


def file_state(path: str) -> FileState:
    """The state of a file; `NO_FILE` if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return NO_FILE
    return FileState(status.st_size, status.st_mtime_ns)


def prepare(
    image: Image.Image,
    source: Source,
    preprocessing: Preprocessing,
    canvas: CanvasSize = 512,
    extent: Extent | None = None,
) -> Picture:
    """A decoded upright RGB picture as a `Picture`; `extent`: what it shows, where that is not each of its pixels."""
    pixels, frame = preprocessing.apply(image, extent)
    width, height, box = extent or Extent.whole(*image.size)
    size = canvas_size(width, height, preprocessing, canvas)
    # BOX and BICUBIC in one step would be slow for large photos; the gap of 2 keeps what an eye can see.
    drawn = image if size == image.size else image.resize(size, Image.Resampling.BICUBIC, box, reducing_gap=2.0)
    return Picture(source, width, height, pixels, frame, np.asarray(drawn))


def _least(preprocessing: Preprocessing, canvas: CanvasSize, width: int, height: int) -> tuple[int, int]:
    """Width and height of the larger of what is made of a picture: the network's view of it, and the canvas."""
    resized, drawn = preprocessing.resized(width, height), canvas_size(width, height, preprocessing, canvas)
    return max(resized[0], drawn[0]), max(resized[1], drawn[1])


def canvas_size(width: int, height: int, preprocessing: Preprocessing, canvas: CanvasSize) -> tuple[int, int]:
    """Width and height of the overlay of a picture; never larger than the picture."""
    if canvas == "original":
        return width, height
    if canvas != "model":
        return fitted(width, height, canvas)
    new_width, new_height = preprocessing.resized(width, height)
    if preprocessing.crop_mode == "squash":
        return fitted(width, height, max(new_width, new_height))
    return min(new_width, width), min(new_height, height)
