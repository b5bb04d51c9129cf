"""Prepares one image in a decoding worker: network input, canvas to draw on, or the reason why it is unreadable."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar, NamedTuple

import numpy as np
from PIL import Image

from ..errors import UnreadableImage
from .decode import NeedsMemory, Reading, allow_pixels, decode_pixels, open_image, read
from .draft import decode_draft
from .geometry import Extent, Frame, Preprocessing, enlarged, fitted
from .jpeg import is_plain
from .listing import Source
from .options import MAX_PIXELS, ORIGINAL, CanvasSize, PixelOptions, enlarged_side
from .orientation import Orientation, number_of, orientation_by, orientation_of
from .pixels import PixelFacts, Pixels
from .target_masks import MaskReading

#: Interpolations that a device computes as Pillow does, and limits of such images: memory of the device is not
#: reserved, and a strong reduction of a side needs large kernels.
_ON_DEVICE = ("bilinear", "bicubic")
_MOST_ON_DEVICE = 64_000_000
_MOST_REDUCED = 32


class FileState(NamedTuple):
    """Size in bytes and modification time in nanoseconds, by which a later run detects a changed file."""

    size: int
    mtime_ns: int


NO_FILE = FileState(-1, -1)


@dataclass(frozen=True)
class Picture:
    """An upright decoded image: network input, frame, and a canvas to draw on.

    input: uint8 h×w×C before normalisation, or float32 after it. canvas: uint8 H×W×3 RGB, the whole image at the size
    of the overlay. frame: rectangle of `input` in pixels of `width`×`height`. If the device draws, `input` is empty and
    `canvas` is a thumbnail or empty. digest: SHA-256 of the file in hexadecimal, or "". mask: the class for which each
    pixel of `input` counts (`MaskReading.read`); None without one.
    """

    source: Source
    width: int
    height: int
    input: np.ndarray
    frame: Frame
    canvas: np.ndarray
    state: FileState = NO_FILE
    digest: str = ""
    facts: PixelFacts = PixelFacts()
    mask: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return self.input.nbytes + self.canvas.nbytes + (0 if self.mask is None else self.mask.nbytes)

    @cached_property
    def image(self) -> Image.Image:
        """`canvas` as a read-only Pillow image, converted once."""
        return Image.fromarray(self.canvas)

    def frame_on(self, width: int, height: int) -> Frame:
        """The frame in pixels of a copy of `width`×`height`."""
        return self.frame.scaled(width / self.width, height / self.height)


@dataclass(frozen=True)
class Encoded:
    """A JPEG file that the device of the network decodes, with the facts of its header.

    width, height: size of the upright image. turn: orientation that makes it upright. data: bytes of the file, uint8.
    canvas: width and height of the canvas. values: number of values of the network's input. copies: number of drawn
    images in canvas size.
    """

    source: Source
    width: int
    height: int
    data: np.ndarray
    turn: Orientation
    canvas: tuple[int, int]
    values: int
    state: FileState = NO_FILE
    copies: int = 1
    digest: str = ""
    facts: PixelFacts = PixelFacts()

    @property
    def nbytes(self) -> int:
        """Bytes of the file and of its decoded pixels, at most."""
        return self.data.nbytes + self.values + self.copies * 3 * self.canvas[0] * self.canvas[1]


#: Input of an engine.
Decodable = Picture | Encoded


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be explained, with the reason."""

    source: Source
    reason: str
    state: FileState = NO_FILE
    digest: str = ""
    nbytes: ClassVar[int] = 0


class TooLarge(NamedTuple):
    """An image that was not decoded, with the bytes that decoding would take."""

    bytes: int


class Fetched(NamedTuple):
    """A remote image whose bytes have been fetched."""

    source: Source
    data: bytes


def load(
    image: Source | Fetched,
    preprocessing: Preprocessing,
    canvas: CanvasSize = 512,
    max_pixels: int = MAX_PIXELS,
    decoding: str = "exact",
    *,
    pixels: PixelOptions = PixelOptions(),
    copies: int = 1,
    unreserved: int | None = None,
    masks: MaskReading | None = None,
) -> Decodable | Unreadable | TooLarge:
    """Reads, decodes and prepares one image. Faults of the file become an `Unreadable`.

    Returns `TooLarge` only if decoding takes more than `unreserved` bytes, and `Encoded` with `copies` only if
    `decoding` is `device` and the file is a plain JPEG. masks: reads the mask of the image, if it needs one.
    """
    source = image.source if isinstance(image, Fetched) else image
    state, digest = state_of(source), ""
    allow_pixels(max_pixels)
    reading = Reading(pixels, preprocessing.channels, source.frame, max_pixels, unreserved)
    try:
        data = image.data if isinstance(image, Fetched) else read(source.path, source.span)
        digest = hashlib.sha256(data).hexdigest()
        if decoding == "device" and (encoded := _encoded(data, source, preprocessing, canvas, reading)):
            return replace(encoded, state=state, copies=copies, digest=digest)
        extent: Extent | None = None
        if decoding == "draft" and not reading.bands:
            decoded, extent = decode_draft(data, partial(_least, preprocessing, canvas), reading)
        else:
            decoded = decode_pixels(data, reading)
        picture = prepare(decoded, source, preprocessing, canvas, extent)
        if masks is not None:
            stored = orientation_by(picture.facts.orientation) if pixels.exif == "apply" else Orientation()
            size = (picture.width, picture.height)
            picture = replace(picture, mask=masks.read(source.mask, size, stored, preprocessing))
    except NeedsMemory as error:
        return TooLarge(error.bytes)
    except UnreadableImage as error:
        return Unreadable(source, str(error), state, digest)
    # Resizing may run out of memory, too: only this image fails.
    except (MemoryError, ValueError, OSError) as error:
        return Unreadable(source, f"cannot be prepared: {str(error) or 'not enough memory'}", state, digest)
    return replace(picture, state=state, digest=digest)


def _encoded(
    data: bytes, source: Source, preprocessing: Preprocessing, canvas: CanvasSize, reading: Reading
) -> Encoded | None:
    """Returns `Encoded` if a device computes the same pixels; None if the file must be decoded here."""
    if reading.bands or source.frame > 1:
        return None
    with open_image(data, max_pixels=reading.max_pixels) as image:
        if not is_plain(image, data) or image.width * image.height > _MOST_ON_DEVICE:
            return None
        stored = orientation_of(image)
        turn = stored if reading.options.exif == "apply" else Orientation()
        width, height = turn.size(*image.size)
    place, drawn = preprocessing.placed(width, height), canvas_size(width, height, preprocessing, canvas)
    reduced = max(whole / part for size in (place.size, drawn) for whole, part in zip((width, height), size))
    if preprocessing.interpolation not in _ON_DEVICE or place.long or reduced > _MOST_REDUCED:
        return None
    values = preprocessing.input_size[0] * preprocessing.input_size[1] * preprocessing.channels
    facts = PixelFacts(orientation=number_of(stored))
    return Encoded(source, width, height, np.frombuffer(bytearray(data), np.uint8), turn, drawn, values, facts=facts)


def placeholder_picture(image: Decodable) -> Picture:
    """Picture without pixels, for an image without a result."""
    none = np.empty((0, 0, 3), np.uint8)
    place = Frame(0, 0, 0, 0)
    return Picture(image.source, image.width, image.height, none, place, none, image.state, image.digest, image.facts)


def state_of(source: Source) -> FileState:
    """State of an image, from its listing or the file system."""
    return file_state(source.path) if source.listed_state is None else FileState(*source.listed_state)


def file_state(path: str) -> FileState:
    """State of a file; `NO_FILE` if it does not exist."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return NO_FILE
    return FileState(status.st_size, status.st_mtime_ns)


def prepare(
    pixels: Pixels | Image.Image,
    source: Source,
    preprocessing: Preprocessing,
    canvas: CanvasSize = 512,
    extent: Extent | None = None,
) -> Picture:
    """Turns decoded pixels, or an upright RGB image, into a `Picture`.

    extent: their extent, if they are smaller than the image.
    """
    image, bands, facts = pixels if isinstance(pixels, Pixels) else Pixels(pixels)
    values, frame = preprocessing.apply(image, extent, bands)
    width, height, box = extent or Extent.whole(*image.size)
    size = canvas_size(width, height, preprocessing, canvas)
    # BICUBIC alone is slow for large photos, and the gap of 2 keeps the visible detail. Enlarged pixels are smoothed,
    # too: edges of squares would hide the content of a small image.
    drawn = image if size == image.size else image.resize(size, Image.Resampling.BICUBIC, box, reducing_gap=2.0)
    return Picture(source, width, height, values, frame, np.asarray(drawn), facts=facts)


def _least(preprocessing: Preprocessing, canvas: CanvasSize, width: int, height: int) -> tuple[int, int]:
    """Width and height that decoding must give: the larger of the resized image and the canvas."""
    resized, drawn = preprocessing.resized(width, height), canvas_size(width, height, preprocessing, canvas)
    return max(resized[0], drawn[0]), max(resized[1], drawn[1])


def canvas_size(width: int, height: int, preprocessing: Preprocessing, canvas: CanvasSize) -> tuple[int, int]:
    """Width and height of the overlay of an image; larger than the image only for `N!`."""
    if canvas == ORIGINAL:
        return width, height
    if (side := enlarged_side(canvas)) is not None:
        return enlarged(width, height, side)
    if isinstance(canvas, int):
        return fitted(width, height, canvas)
    new_width, new_height = preprocessing.resized(width, height)
    if preprocessing.crop_mode == "squash":
        return fitted(width, height, max(new_width, new_height))
    return min(new_width, width), min(new_height, height)
