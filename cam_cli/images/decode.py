"""Decodes the bytes of a file into upright pixels, or raises `UnreadableImage` with the reason."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from ..errors import UnreadableImage
from .arrays import array_pixels, is_npy, is_tiff, npy_array, tiff_array
from .frames import frame_places
from .options import MAX_PIXELS, PixelOptions
from .pixels import Pixels, pixels_of

#: Formats whose decoders run inside Pillow and its libraries, without an interpreter or external program.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")

MAX_BYTES = 1 << 30

#: Memory of decoding per pixel, at most: the image in its mode, a copy, the upright one, RGB; four bytes each.
_BYTES_PER_PIXEL = 16

_SIGNATURES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the image itself; run `git lfs pull`"),
    (b"%PDF", "a PDF; export its pages as PNG"),
    (b"%!PS", "PostScript, which is never run; export it as PNG"),
    (b"\xc5\xd0\xd3\xc6", "EPS, which is never run; export it as PNG"),
    (b"\xff\x0a", "a JPEG XL file; export it as PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file; export it as PNG"),
    (b"8BPS", "a Photoshop file; export it as PNG"),
    (b"<svg", "an SVG; export it as PNG"),
    (b"<!doctype html", "an HTML page, not an image; download it again"),
    (b"<html", "an HTML page, not an image; download it again"),
    (b"<?xml", "an XML file (SVG?); export it as PNG"),
)


class NeedsMemory(Exception):
    """Decoding this image takes `bytes`, more than allowed."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.bytes = size


def memory_limit(max_pixels: int) -> int:
    """Bytes that decoding an image of `max_pixels` never exceeds.

    A decoder that allocates more has broken or hostile input.
    """
    return MAX_BYTES + 2 * _BYTES_PER_PIXEL * max_pixels


def allow_pixels(max_pixels: int) -> None:
    """Raises Pillow's process-wide pixel limit to `max_pixels` if that is higher. Never lowers it."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


def read(path: str, span: tuple[int, int] | None = None) -> bytes:
    """Bytes of a regular file, or of a span (offset, size) of it.

    Raises `UnreadableImage`. Never waits for a pipe or a device.
    """
    try:
        # Opening a device may have an effect.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnreadableImage("not a regular file")
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise UnreadableImage(getattr(error, "strerror", None) or str(error)) from error
    try:
        data = _content(descriptor, span)
    except OSError as error:
        raise UnreadableImage(error.strerror or str(error)) from error
    finally:
        os.close(descriptor)
    if not data:
        raise UnreadableImage("the file is empty")
    return data


def _content(descriptor: int, span: tuple[int, int] | None) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage("not a regular file")
    offset, size = span or (0, status.st_size)
    if size > MAX_BYTES:
        raise UnreadableImage(f"{size:,} bytes are over the limit of {MAX_BYTES:,} for one file")
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(offset)
        data = file.read(size if span else -1)
    now = os.fstat(descriptor)
    if (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise UnreadableImage("the file changed while it was read; run again when it is whole")
    return data


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, unreserved: int | None = None) -> Image.Image:
    """Decodes the first frame, upright by EXIF, to 8-bit RGB.

    An alpha channel is dropped, as `convert("RGB")` does in the loaders of timm and torchvision: the network was
    trained on the colours under it. 16-bit, 32-bit and float pixels are scaled to 8 bits, not clipped. Raises
    `UnreadableImage`, and `NeedsMemory` at the header of an image that takes more than `unreserved` bytes to decode.
    """
    return decode_pixels(data, Reading(max_pixels=max_pixels, unreserved=unreserved)).image


class Reading(NamedTuple):
    """Settings of decoding: the options, the channels of the network, and the `frame` from 1 (0: the first).

    max_pixels: larger images are unreadable. unreserved: bytes that decoding may take without a reservation, None for
    any.
    """

    options: PixelOptions = PixelOptions()
    channels: int = 3
    frame: int = 0
    max_pixels: int = MAX_PIXELS
    unreserved: int | None = None

    @property
    def bands(self) -> bool:
        """Whether the input consists of selected bands instead of grey or RGB."""
        return self.options.bands is not None or self.channels not in (1, 3)


def decode_pixels(data: bytes, reading: Reading = Reading()) -> Pixels:
    """Pixels of a file. Raises as `decode` does."""
    if is_npy(data):
        return array_pixels(data, npy_array, reading.options, reading.channels, reading.max_pixels)
    if reading.bands and is_tiff(data):
        read_page = partial(tiff_array, frame=max(1, reading.frame))
        return array_pixels(data, read_page, reading.options, reading.channels, reading.max_pixels)
    with open_image(data, max_pixels=reading.max_pixels) as image:
        return loaded(image, data, reading)


@contextmanager
def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Opens an image: reads the header, decodes nothing.

    Raises every fault of the file as `UnreadableImage`, also inside the context.
    """
    try:
        with Image.open(io.BytesIO(data), formats=readable_formats()) as image:
            _check_size(image, max_pixels)
            yield image
    except (UnreadableImage, NeedsMemory):
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImage(_unknown_format(data)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(f"more pixels than the limit of {max_pixels:,} (max_pixels)") from error
    except MemoryError as error:
        raise UnreadableImage("not enough memory to decode it") from error
    # Decoders may raise anything on broken input (struct.error, SyntaxError, KeyError …).
    except Exception as error:
        raise UnreadableImage(f"broken image: {str(error) or type(error).__name__}") from error


def loaded(image: Image.Image, data: bytes, reading: Reading, *, beside: int = 0) -> Pixels:
    """Pixels of an open image of the file `data`. beside: additional bytes that the decoder takes.

    Raises `NeedsMemory` if that takes more than `reading.unreserved` bytes.
    """
    places, frame = frame_places(data, image), max(1, reading.frame)
    if frame > len(places):
        count = f"{len(places)} frame" + "s" * (len(places) > 1)
        raise UnreadableImage(f"it has {count}, and none with the number {frame} (frames)")
    if places[frame - 1]:
        image.seek(places[frame - 1])
        _check_size(image, reading.max_pixels)
    need = image.width * image.height * _BYTES_PER_PIXEL + beside
    if reading.unreserved is not None and need > reading.unreserved:
        raise NeedsMemory(need)
    image.load()
    return pixels_of(image, reading.options, reading.channels, (len(places), frame))


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableImage(f"{width}×{height} pixels are over the limit of {max_pixels:,} (max_pixels)")


def count_frames(data: bytes, *, max_pixels: int = MAX_PIXELS) -> int:
    """Number of frames in a file. Raises `UnreadableImage`."""
    if is_npy(data):
        return 1
    with open_image(data, max_pixels=max_pixels) as image:
        return len(frame_places(data, image))


@cache
def readable_formats() -> tuple[str, ...]:
    """Formats of `FORMATS` that this build of Pillow supports."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _unknown_format(data: bytes) -> str:
    """Describes a file that Pillow does not open, with the next step."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, what in _SIGNATURES:
        if start.startswith(signature.lower()):
            return f"not an image camx reads: {what}"
    if data[128:132] == b"DICM":
        return "not an image camx reads: a DICOM file; export its pixels as a 16-bit PNG or TIFF"
    if is_tiff(data):
        return (
            "not an image camx reads: a TIFF file of a kind that Pillow does not know; choose its bands (bands), which "
            "tifffile reads (`pip install 'camx[tiff]'`)"
        )
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "a HEIC photo, which Pillow does not read; convert it to JPEG (`heif-convert in.heic out.jpg`)"
    return f"not an image of a known format ({', '.join(FORMATS)})"
