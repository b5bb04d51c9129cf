"""The way from the image to the network's input and back: resize, crop or pad, and the frame that was seen.

The arithmetic is that of `timm.data.create_transform` and of torchvision's classification presets, so that
the pixels are theirs bit by bit; what those do not tell is the frame, which puts a heatmap back in place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from .options import CropMode

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


#: An image whose resized form is more than this many times the input is resized only where the crop lies, so
#: that 1×60,000 pixels cost no gigabytes. Pillow's rounding then differs by a level or two in some pixels.
_FULL_RESIZE = 16


class Frame(NamedTuple):
    """The rectangle the network saw, in pixels of the upright image; with padding it reaches outside."""

    left: float
    top: float
    right: float
    bottom: float

    def scaled(self, x: float, y: float) -> Frame:
        return Frame(self.left * x, self.top * y, self.right * x, self.bottom * y)


class Extent(NamedTuple):
    """Extent of an image in decoded pixels: `width`×`height` at its own scale or a smaller one, in `box` of them."""

    width: int
    height: int
    box: Frame

    @classmethod
    def whole(cls, width: int, height: int) -> Extent:
        """That of an image at its own scale."""
        return cls(width, height, Frame(0, 0, width, height))


class Placement(NamedTuple):
    """Where an image lies in the network's input.

    size: width and height of the whole image at that scale. kept: left, top, right, bottom of what the crop keeps
    of it. left, top: where that begins in the input; above 0 where there is padding. frame: all of the input, in pixels
    of the image. long: the whole image at that scale is many times the input.
    """

    size: tuple[int, int]
    kept: tuple[int, int, int, int]
    left: int
    top: int
    frame: Frame
    long: bool


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop and normalisation of the network's input: a model's own data configuration, resolved.

    `input_size` and `resize` are (height, width) in pixels. `center`: the short side is resized to `resize`
    and the middle cut out; `squash`: both sides to `resize`, proportions lost; `border`: the long side to
    `resize`, padded with the mean colour. `mean` and `std` apply to values in [0, 1]. `centring`: where the crop begins
    if what it leaves out is an odd number of pixels: half of it to the nearest even number as in torchvision, or the
    smaller half as in the processors of transformers.
    """

    input_size: tuple[int, int]
    resize: tuple[int, int]
    crop_mode: CropMode
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    centring: Literal["even", "down"] = "even"

    def as_dict(self) -> dict[str, Any]:
        """All values by name, as files and fingerprints keep them; the usual centring is not named."""
        values = asdict(self)
        if self.centring == "even":
            del values["centring"]
        return values

    @property
    def channels(self) -> int:
        return len(self.mean)

    def apply(
        self, picture: Image.Image, extent: Extent | None = None, bands: Sequence[Image.Image] = ()
    ) -> tuple[np.ndarray, Frame]:
        """An upright RGB image as uint8 H×W×C of `input_size`, and the frame of it in the image.

        `extent`: what `picture` shows, where it was decoded at a smaller scale; the frame is in pixels of `extent`.
        `bands`: the channels as grey images, where they are not those of the image.
        """
        if self.channels == 1:
            picture = picture.convert("L")
        width, height, box = extent or Extent.whole(*picture.size)
        place = self.placed(width, height)
        parts = [np.asarray(self._kept(one, place, box)) for one in bands or (picture,)]
        return self._padded(parts[0] if len(parts) == 1 else np.stack(parts, axis=-1), place), place.frame

    def _kept(self, picture: Image.Image, place: Placement, box: Frame) -> Image.Image:
        """Resizes an image and keeps the crop."""
        how, kept = INTERPOLATIONS[self.interpolation], place.kept
        if not place.long:
            whole = picture if picture.size == place.size else picture.resize(place.size, how, box)
            return whole.crop(kept)
        x, y = (box.right - box.left) / place.size[0], (box.bottom - box.top) / place.size[1]
        right, bottom = min(box.left + kept[2] * x, box.right), min(box.top + kept[3] * y, box.bottom)
        source = (box.left + kept[0] * x, box.top + kept[1] * y, right, bottom)
        return picture.resize((kept[2] - kept[0], kept[3] - kept[1]), how, source)

    def placed(self, width: int, height: int) -> Placement:
        """Where an image of this size lies in the input."""
        new_width, new_height = self.resized(width, height)
        in_height, in_width = self.input_size
        left, top = self._start(new_width, in_width), self._start(new_height, in_height)
        kept = (max(left, 0), max(top, 0), min(left + in_width, new_width), min(top + in_height, new_height))
        frame = Frame(left, top, left + in_width, top + in_height).scaled(width / new_width, height / new_height)
        long = new_width * new_height > _FULL_RESIZE * in_width * in_height
        return Placement((new_width, new_height), kept, kept[0] - left, kept[1] - top, frame, long)

    @property
    def background(self) -> tuple[int, ...]:
        """The levels of padding, one per channel: the mean colour for `border`, else black."""
        return tuple(round(255 * v) if self.crop_mode == "border" else 0 for v in self.mean)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the whole image at the scale at which the network sees it."""
        to_height, to_width = self.resize
        if self.crop_mode == "squash":
            return to_width, to_height
        if self.crop_mode == "center" and to_height == to_width:
            if width <= height:
                return to_width, max(1, int(to_width * height / width))
            return max(1, int(to_width * width / height)), to_width
        by = max if self.crop_mode == "border" else min
        ratio = by(height / to_height, width / to_width)
        return max(1, round(width / ratio)), max(1, round(height / ratio))

    def _start(self, size: int, crop: int) -> int:
        """The first pixel of a side that the crop keeps; below 0 where there is padding."""
        if self.centring == "down":
            return (size - crop) // 2
        return round((size - crop) / 2.0) if size >= crop else -((crop - size) // 2)

    def _padded(self, kept: np.ndarray, place: Placement) -> np.ndarray:
        """The pixels that the crop keeps, in a field of `input_size`."""
        height, width = kept.shape[:2]
        pixels = kept.reshape(height, width, self.channels)
        if (height, width) == self.input_size:
            return pixels
        out = np.empty((*self.input_size, self.channels), np.uint8)
        out[:] = self.background
        out[place.top : place.top + height, place.left : place.left + width] = pixels
        return out


def scaled_for_crop(input_size: tuple[int, int], crop_pct: float) -> tuple[int, int]:
    """The size to resize to so that the crop covers the share `crop_pct` of each side (timm's rule)."""
    height, width = input_size
    return math.floor(height / crop_pct), math.floor(width / crop_pct)


def fitted(width: int, height: int, long_side: int | None) -> tuple[int, int]:
    """Width and height within `long_side`, proportions kept, never enlarged; None keeps the size."""
    if long_side is None or max(width, height) <= long_side:
        return width, height
    return enlarged(width, height, long_side)


def enlarged(width: int, height: int, long_side: int) -> tuple[int, int]:
    """Width and height whose longer one is `long_side`, proportions kept."""
    scale = long_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
