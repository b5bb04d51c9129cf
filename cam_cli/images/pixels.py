"""Converts a loaded image of any mode to 8-bit RGB and to bands, and records the decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from ..errors import UnreadableImage
from .levels import eight_bit
from .options import PixelOptions

_ORIENTATION = 0x0112
#: GDAL's tag for the level of missing values.
_NODATA = 42113
#: Ordinary modes, which are not recorded.
_PLAIN = ("RGB", "L")


@dataclass(frozen=True)
class PixelFacts:
    """Decisions about the pixels of a file.

    mode: Pillow's name, or type and shape of an array; "" for 8-bit RGB and grey. levels: levels that became 0 and 255.
    nodata: level of missing values. frames, frame: number of frames, and the selected one from 1. orientation: EXIF
    number. opaque: whether no pixel is transparent. bands: bands for the network, from 1.
    """

    mode: str = ""
    levels: tuple[float, float] | None = None
    nodata: float | None = None
    frames: int = 1
    frame: int = 1
    orientation: int = 1
    opaque: bool = True
    bands: tuple[int, ...] = ()


class Pixels(NamedTuple):
    """Converted pixels.

    image: 8-bit RGB, for the canvas and for networks of one or three channels. bands: one grey image per channel, for
    networks of another number of channels.
    """

    image: Image.Image
    bands: tuple[Image.Image, ...] = ()
    facts: PixelFacts = PixelFacts()


def pixels_of(image: Image.Image, options: PixelOptions, channels: int, frames: tuple[int, int] = (1, 1)) -> Pixels:
    """Converts a loaded image for a network of `channels`. frames: number of frames of the file, and this one.

    Raises `UnreadableImage` if requested bands are missing.
    """
    turn, nodata = orientation_number(image), nodata_of(getattr(image, "tag_v2", {}).get(_NODATA))
    upright = _upright(image) if options.exif == "apply" else image
    facts = PixelFacts("" if image.mode in _PLAIN else image.mode, None, None, *frames, turn, is_opaque(image))
    grey: Image.Image | None = None
    if upright.mode.startswith(("I", "F")):
        scaled = eight_bit(np.asarray(upright), options.levels, nodata)
        grey = Image.fromarray(scaled.pixels)
        facts = replace(facts, levels=(scaled.low, scaled.high), nodata=scaled.nodata)
    if options.bands is None and channels in (1, 3):
        return Pixels(grey.convert("RGB") if grey else rgb(upright), (), facts)
    return choose_bands([grey] if grey else _bands(upright), options, channels, facts)


def choose_bands(bands: Sequence[Image.Image], options: PixelOptions, channels: int, facts: PixelFacts) -> Pixels:
    """Selects the bands for a network of `channels`, each as a grey image.

    Raises `UnreadableImage` if their number differs and the options select none.
    """
    count, ordinary = len(bands), channels in (1, 3)
    has = f"it has {count} band" + "s" * (count > 1)
    if options.bands is None and count != channels and not (ordinary and count in (1, 3)):
        raise UnreadableImage(f"{has}, but the network takes {channels}: choose them (bands)")
    wanted = options.bands or tuple(range(1, count + 1))
    if max(wanted) > count:
        raise UnreadableImage(f"{has}, but no number {max(wanted)} (bands)")
    selected = [bands[number - 1] for number in wanted]
    image = Image.merge("RGB", selected[:3]) if len(selected) > 2 else selected[0].convert("RGB")
    if options.bands or not ordinary:
        facts = replace(facts, bands=wanted)
    return Pixels(image, () if ordinary else tuple(selected), facts)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Converts a loaded image of any mode to 8-bit RGB, upright by EXIF, without alpha."""
    return pixels_of(image, PixelOptions(), 3).image


def rgb(image: Image.Image) -> Image.Image:
    """Converts an image of an 8-bit mode to RGB."""
    if image.mode == "RGB":
        return image
    if image.mode in ("La", "RGBa"):
        # Pillow has no direct conversion from premultiplied alpha to RGB.
        image = image.convert(image.mode.upper())
    return _without_transparency(image).convert("RGB")


def is_opaque(image: Image.Image) -> bool:
    """Whether no pixel of a loaded image is transparent."""
    if not image.has_transparency_data or image.mode.startswith(("I", "F")):
        return True
    if image.mode in ("La", "RGBa"):
        alpha = image.getchannel("a")
    else:
        alpha = (image if image.mode in ("LA", "RGBA") else image.convert("RGBA")).getchannel("A")
    return alpha.getextrema()[0] == 255


def orientation_number(image: Image.Image) -> int:
    """EXIF orientation of a loaded image; 1 if missing or broken."""
    try:
        number = image.getexif().get(_ORIENTATION, 1)
    # As in `_upright`.
    except Exception:
        return 1
    return number if number in range(2, 9) else 1


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    # An image with broken EXIF data is used as stored.
    except Exception:
        return image


def nodata_of(text: object) -> float | None:
    """Level in a GDAL tag; None if it is no number."""
    try:
        value = float(str(text).strip("\0 "))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _bands(image: Image.Image) -> list[Image.Image]:
    if image.mode in ("1", "P", "PA", "YCbCr", "LAB", "HSV", "La", "RGBa"):
        image = image.convert("L" if image.mode == "1" else "RGBA" if image.has_transparency_data else "RGB")
    return list(image.split())


def _without_transparency(image: Image.Image) -> Image.Image:
    """The image without the transparency of its palette, about whose loss Pillow would warn."""
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.copy()
        del image.info["transparency"]
    return image
