"""Maps an image to the network's input and back: resize, crop or pad, and the frame that the network sees.

Pixels equal those of `timm.data.create_transform` and of torchvision's classification presets bit by bit. Those do
not return the frame, which is needed to place a heatmap on the image.
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


#: If the resized image would be more than this many times the input, only the crop is resized: 1×60,000 pixels would
#: take gigabytes. Pillow's rounding then differs by a level or two in some pixels.
_FULL_RESIZE = 16
#: The largest ratio of the long to the short side of an input whose sides are multiples of a number.
_LONGEST = 1333 / 800


class Frame(NamedTuple):
    """The rectangle that the network sees, in pixels of the upright image. With padding it reaches outside."""

    left: float
    top: float
    right: float
    bottom: float

    def scaled(self, x: float, y: float) -> Frame:
        return Frame(self.left * x, self.top * y, self.right * x, self.bottom * y)


class Extent(NamedTuple):
    """Part `box` of the decoded pixels that shows the image, whose size at that scale is `width`×`height`."""

    width: int
    height: int
    box: Frame

    @classmethod
    def whole(cls, width: int, height: int) -> Extent:
        """Extent of an image at its own scale."""
        return cls(width, height, Frame(0, 0, width, height))


class Placement(NamedTuple):
    """Position of an image in the network's input.

    size: width and height of the resized image. kept: left, top, right, bottom of the crop in it. left, top: position
    of the crop in the input, above 0 with padding. frame: the whole input in pixels of the image. long: the resized
    image is many times the input.
    """

    size: tuple[int, int]
    kept: tuple[int, int, int, int]
    left: int
    top: int
    frame: Frame
    long: bool


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop and normalisation: the resolved data configuration of a model.

    `input_size` and `resize` are (height, width) in pixels. `center`: resizes the short side to `resize` and cuts out
    the middle. `squash`: resizes both sides to `resize` and ignores the aspect ratio. `border`: resizes the long side
    to `resize` and pads with the level `fill` in all channels, or with the mean colour if it is None. `mean` and `std`
    apply to values in [0, 1]. `centring`: rounding of the crop position if an odd number of pixels is cut: to the
    nearest even number as in torchvision, or down as in the processors of transformers. `divisor`: above 0, the network
    sees all of an image, with its aspect ratio nearly kept: the short side is resized to `resize`, the long one to at
    most 1.67 times of it, and both are rounded down to multiples of `divisor`. Images then have inputs of different
    sizes; `input_size` is that of a square one. `whole`: the network gets each image at its own size and resizes it
    itself; `input_size` is that of a usual one.
    """

    input_size: tuple[int, int]
    resize: tuple[int, int]
    crop_mode: CropMode
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    centring: Literal["even", "down"] = "even"
    divisor: int = 0
    whole: bool = False
    fill: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """All values by name, for files and fingerprints. The default centring, divisor, whole and fill are absent."""
        values = asdict(self)
        if self.centring == "even":
            del values["centring"]
        if not self.divisor:
            del values["divisor"]
        if not self.whole:
            del values["whole"]
        if self.fill is None:
            del values["fill"]
        return values

    @property
    def channels(self) -> int:
        return len(self.mean)

    def apply(
        self, picture: Image.Image, extent: Extent | None = None, bands: Sequence[Image.Image] = ()
    ) -> tuple[np.ndarray, Frame]:
        """Converts an upright RGB image to uint8 H×W×C of `input_size`, and returns its frame.

        extent: extent of `picture` if it was decoded at a smaller scale; the frame is in pixels of `extent`. bands:
        channels as grey images, if other than those of the image.
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
        """Placement of an image of this size."""
        if self.whole:
            return Placement((width, height), (0, 0, width, height), 0, 0, Frame(0, 0, width, height), long=False)
        new_width, new_height = self.resized(width, height)
        if self.divisor:
            whole = (0, 0, new_width, new_height)
            return Placement((new_width, new_height), whole, 0, 0, Frame(0, 0, width, height), long=False)
        in_height, in_width = self.input_size
        left, top = self._start(new_width, in_width), self._start(new_height, in_height)
        kept = (max(left, 0), max(top, 0), min(left + in_width, new_width), min(top + in_height, new_height))
        frame = Frame(left, top, left + in_width, top + in_height).scaled(width / new_width, height / new_height)
        long = new_width * new_height > _FULL_RESIZE * in_width * in_height
        return Placement((new_width, new_height), kept, kept[0] - left, kept[1] - top, frame, long)

    @property
    def background(self) -> tuple[int, ...]:
        """Colour of the padding, one level per channel: `fill` or the mean for `border`, else black."""
        if self.crop_mode != "border":
            return (0,) * self.channels
        return tuple(round(255 * v) if self.fill is None else self.fill for v in self.mean)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the resized image."""
        if self.whole:
            return width, height
        to_height, to_width = self.resize
        if self.divisor:
            return _divisible(width, height, to_width, self.divisor)
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
        """First pixel of a side inside the crop; negative with padding."""
        if self.centring == "down":
            return (size - crop) // 2
        return round((size - crop) / 2.0) if size >= crop else -((crop - size) // 2)

    def _padded(self, kept: np.ndarray, place: Placement) -> np.ndarray:
        """The cropped pixels on a background of `input_size`."""
        height, width = kept.shape[:2]
        pixels = kept.reshape(height, width, self.channels)
        if (height, width) == self.input_size or self.divisor or self.whole:
            return pixels
        out = np.empty((*self.input_size, self.channels), np.uint8)
        out[:] = self.background
        out[place.top : place.top + height, place.left : place.left + width] = pixels
        return out


def _divisible(width: int, height: int, short: int, divisor: int) -> tuple[int, int]:
    """Width and height of an image whose sides become multiples of `divisor`: the arithmetic of ViLT's processor.

    Raises `ValueError` if a side would be shorter than `divisor`.
    """
    scale = short / min(width, height)
    sides = [short if side == min(width, height) else scale * side for side in (width, height)]
    longest = int(_LONGEST * short)
    if max(sides) > longest:
        sides = [longest / max(sides) * side for side in sides]
    across, down = (int(side + 0.5) // divisor * divisor for side in sides)
    if not across or not down:
        raise ValueError(f"an image of {width}×{height} is too long: one side would have less than {divisor} pixels")
    return across, down


def scaled_for_crop(input_size: tuple[int, int], crop_pct: float) -> tuple[int, int]:
    """Resize target for which the crop covers the share `crop_pct` of each side (timm's rule)."""
    height, width = input_size
    return math.floor(height / crop_pct), math.floor(width / crop_pct)


def fitted(width: int, height: int, long_side: int | None) -> tuple[int, int]:
    """Width and height scaled down to at most `long_side`, with the aspect ratio kept; None keeps the size."""
    if long_side is None or max(width, height) <= long_side:
        return width, height
    return enlarged(width, height, long_side)


def enlarged(width: int, height: int, long_side: int) -> tuple[int, int]:
    """Width and height with a longer side of `long_side`; keeps the aspect ratio."""
    scale = long_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
