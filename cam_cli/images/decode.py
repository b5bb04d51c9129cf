"""From the bytes of a file to upright 8-bit RGB pixels, or to the reason why not."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import UnreadableImage
from .options import MAX_PIXELS

#: Formats whose decoders run inside Pillow and its libraries; no interpreter, no external program.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")

MAX_BYTES = 1 << 30

#: What decoding takes at most: the picture in its mode, a copy, turned upright, as RGB; four bytes each.
_BYTES_PER_PIXEL = 16

_SIGNATURES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the image itself; run `git lfs pull`"),
    (b"%PDF", "a PDF; export its pages as PNG"),
    (b"%!PS", "PostScript, which is never run; export it as PNG"),
    (b"\xc5\xd0\xd3\xc6", "EPS, which is never run; export it as PNG"),
    (b"8BPS", "a Photoshop file; export it as PNG"),
    (b"<svg", "an SVG; export it as PNG"),
    (b"<!doctype html", "an HTML page, not an image; download it again"),
    (b"<html", "an HTML page, not an image; download it again"),
    (b"<?xml", "an XML file (SVG?); export it as PNG"),
)


class NeedsMemory(Exception):
    """Decoding this picture would take so many `bytes`, more than was allowed."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.bytes = size


def memory_limit(max_pixels: int) -> int:
    """Bytes that no decoding of a picture within `max_pixels` needs; what asks for more is broken, or an attack."""
    return MAX_BYTES + 2 * _BYTES_PER_PIXEL * max_pixels


def allow_pixels(max_pixels: int) -> None:
    """Lift Pillow's own limit, one for the whole process, where ours is set above it; never lower it."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


def read(path: str, span: tuple[int, int] | None = None) -> bytes:
    """The bytes of a regular file, or of a span (offset, size) of it.

    Raises `UnreadableImage`; never waits for a pipe or a device.
    """
    try:
        # A device may do something when it is opened.
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


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, unasked: int | None = None) -> Image.Image:
    """The first frame as a person sees it: EXIF-upright, 8-bit RGB. An alpha channel is left out, as
    `convert("RGB")` of timm's and torchvision's loaders does: the network was trained on what lies under it.

    16-bit, 32-bit and float pixels are scaled to 8 bits, not clipped. Raises `UnreadableImage`, and `NeedsMemory`
    at the header of a picture that takes more than `unasked` bytes to decode.
    """
    with opened(data, max_pixels=max_pixels) as image:
        return loaded(image, unasked=unasked)


@contextmanager
def opened(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A picture of which the header is read and nothing decoded.

    Whatever is wrong with it, also what comes out while it is open, is raised as `UnreadableImage`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=readable_formats()) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise UnreadableImage(f"{width}×{height} pixels are over the limit of {max_pixels:,} (max_pixels)")
            yield image
    except (UnreadableImage, NeedsMemory):
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImage(_what_it_is(data)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(f"more pixels than the limit of {max_pixels:,} (max_pixels)") from error
    except MemoryError as error:
        raise UnreadableImage("not enough memory to decode it") from error
    # Decoders raise nearly anything on broken input (struct.error, SyntaxError, KeyError …).
    except Exception as error:
        raise UnreadableImage(f"broken image: {str(error) or type(error).__name__}") from error


def loaded(image: Image.Image, *, unasked: int | None = None, beside: int = 0) -> Image.Image:
    """The pixels of an open picture as `decode` gives them; the decoder takes so many bytes `beside` them.

    Raises `NeedsMemory` where that takes more than `unasked` bytes.
    """
    need = image.width * image.height * _BYTES_PER_PIXEL + beside
    if unasked is not None and need > unasked:
        raise NeedsMemory(need)
    image.load()
    return upright_rgb(image)


def upright_rgb(image: Image.Image) -> Image.Image:
    """A loaded picture of any mode as 8-bit RGB, turned as its EXIF data say, without its alpha channel."""
    return _rgb(_upright(image))


@cache
def readable_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this build of Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    # A broken EXIF block says nothing about the pixels: they are shown as stored.
    except Exception:
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bit(np.asarray(image))).convert("RGB")
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(image, lab, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return converted or image.convert("RGB")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        # Pillow would warn that the transparency is lost.
        image = image.copy()
        del image.info["transparency"]
    return image.convert("RGB")


def _eight_bit(values: np.ndarray) -> np.ndarray:
    """Grey levels of 16 bits, 32 bits or float as uint8: by the type's range where it is known, else min to max."""
    if values.dtype.itemsize == 2:
        return (values.astype(np.uint32) // 257).astype(np.uint8)
    levels = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(levels.min()), float(levels.max())
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif values.dtype.kind != "f" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    return np.rint((levels - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8)


def _what_it_is(data: bytes) -> str:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, what in _SIGNATURES:
        if start.startswith(signature.lower()):
            return f"not an image camx reads: {what}"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "a HEIC photo, which Pillow does not read; convert it to JPEG (`heif-convert in.heic out.jpg`)"
    return f"not an image of a known format ({', '.join(FORMATS)})"
