"""From a loaded image of any mode to 8-bit RGB and, where they are asked for, to bands; and what was decided."""

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
#: The tag of GDAL with the level that stands for no value.
_NODATA = 42113
#: Modes that say nothing that a person would ask about.
_PLAIN = ("RGB", "L")


@dataclass(frozen=True)
class PixelFacts:
    """Decisions on the pixels of a file.

    mode: that of the file as Pillow names it, or the type and shape of an array; "" for RGB and grey of 8 bits.
    levels: those that became 0 and 255. nodata: the level for no value. frames, frame: how many the file has, and which
    is shown, from 1. orientation: the number in the EXIF data. opaque: whether no pixel is transparent. bands: those
    that the network gets, from 1.
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
    """image: the image as 8-bit RGB, to be seen by people and by a network of one or three channels. bands: one grey
    image per channel, for a network of another number of channels."""

    image: Image.Image
    bands: tuple[Image.Image, ...] = ()
    facts: PixelFacts = PixelFacts()


def pixels_of(image: Image.Image, options: PixelOptions, channels: int, frames: tuple[int, int] = (1, 1)) -> Pixels:
    """A loaded image for a network of so many channels. frames: how many its file has, and which one it is.

    Raises `UnreadableImage` where it has not the bands that are asked for.
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
    return chosen([grey] if grey else _bands(upright), options, channels, facts)


def chosen(bands: Sequence[Image.Image], options: PixelOptions, channels: int, facts: PixelFacts) -> Pixels:
    """The bands of an image, each a grey one, that a network of so many channels gets.

    Raises `UnreadableImage` where the number of bands is another one and none are chosen.
    """
    count, ordinary = len(bands), channels in (1, 3)
    has = f"it has {count} band" + "s" * (count > 1)
    if options.bands is None and count != channels and not (ordinary and count in (1, 3)):
        raise UnreadableImage(f"{has}, and the network takes {channels}: choose them (bands)")
    wanted = options.bands or tuple(range(1, count + 1))
    if max(wanted) > count:
        raise UnreadableImage(f"{has}, and none with the number {max(wanted)} (bands)")
    taken = [bands[number - 1] for number in wanted]
    image = Image.merge("RGB", taken[:3]) if len(taken) > 2 else taken[0].convert("RGB")
    if options.bands or not ordinary:
        facts = replace(facts, bands=wanted)
    return Pixels(image, () if ordinary else tuple(taken), facts)


def upright_rgb(image: Image.Image) -> Image.Image:
    """A loaded image of any mode as 8-bit RGB, turned as its EXIF data say, without its alpha channel."""
    return pixels_of(image, PixelOptions(), 3).image


def rgb(image: Image.Image) -> Image.Image:
    """An image of a mode of 8 bits as RGB."""
    if image.mode == "RGB":
        return image
    if image.mode in ("La", "RGBa"):
        # Colours that are multiplied with their opacity; nothing makes RGB of them at once.
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
    """The orientation in the EXIF data of a loaded image; 1 where there is none or the data are broken."""
    try:
        number = image.getexif().get(_ORIENTATION, 1)
    # As below.
    except Exception:
        return 1
    return number if number in range(2, 9) else 1


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    # A broken EXIF block says nothing about the pixels: they are shown as stored.
    except Exception:
        return image


def nodata_of(text: object) -> float | None:
    """The level in a tag of GDAL; None where it is no number."""
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
    """The image; Pillow would warn of a palette whose transparency is lost."""
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.copy()
        del image.info["transparency"]
    return image
