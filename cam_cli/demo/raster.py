"""Turns the parts of a drawing into an anti-aliased, lit image with alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .shapes import Colour, Part, Points

Field = NDArray[np.float32]
OVERSAMPLE = 2
_GLOW = np.array([0.46, 0.43, 0.36], dtype=np.float32)
_GLOOM = np.array([0.62, 0.6, 0.5], dtype=np.float32)


@dataclass(frozen=True)
class Light:
    """``dx, dy``: unit vector towards the light (y down); ``contrast`` of the modelling, about 0.5..1.2."""

    dx: float
    dy: float
    contrast: float


@dataclass(frozen=True)
class Coat:
    """Pattern of the marked parts: an 'L' image at drawing resolution (255 = full ``colour``)."""

    field: Image.Image
    colour: Colour


@dataclass(frozen=True)
class Sprite:
    """A drawing on the pixels of an image: ``rgb`` h×w×3 (0..255, times alpha) and ``alpha`` h×w (0..1).

    ``left, top`` is the image pixel of its first row and column (may be negative).
    """

    rgb: Field
    alpha: Field
    left: int
    top: int


def extent(parts: Sequence[Part]) -> tuple[float, float, float, float]:
    """Smallest box (x0, y0, x1, y1) around all parts."""
    low = np.min([p.outline.min(0) for p in parts], axis=0)
    high = np.max([p.outline.max(0) for p in parts], axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def canvas_box(parts: Sequence[Part]) -> tuple[int, int, int, int]:
    """Whole-pixel box (left, top, width, height) that holds the parts with a small margin."""
    x0, y0, x1, y1 = extent(parts)
    left, top = int(np.floor(x0)) - 2, int(np.floor(y0)) - 2
    return left, top, int(np.ceil(x1)) + 3 - left, int(np.ceil(y1)) + 3 - top


def levels(picture: Image.Image) -> Field:
    """Converts an 'L' image to h×w in 0..1."""
    return np.asarray(picture, dtype=np.float32) * np.float32(1 / 255)


def slope(mask: Image.Image, radius: float, light: Light) -> Field:
    """Shading of each pixel of an 'L' mask from its blurred relief: about −1 (away from the light) to 1 (facing it)."""
    blurred = levels(mask.filter(ImageFilter.BoxBlur(max(radius, 0.6))))
    facing = np.zeros_like(blurred)
    reach = max(radius, 0.6)
    facing[:, 1:-1] -= (blurred[:, 2:] - blurred[:, :-2]) * (light.dx * reach)
    facing[1:-1] -= (blurred[2:] - blurred[:-2]) * (light.dy * reach)
    return facing


def lit(colour: Colour, facing: Field, strength: float) -> Image.Image:
    """RGB image of ``colour`` brightened warmly where ``facing`` > 0 and darkened coolly elsewhere."""
    facing = facing[..., None] * np.float32(strength)
    gain = 1 + np.maximum(facing, 0) * _GLOW + np.minimum(facing, 0) * _GLOOM
    return Image.fromarray(np.minimum(gain * np.asarray(colour, dtype=np.float32), 255).astype(np.uint8))


@lru_cache(maxsize=64)
def _share(level: float) -> list[int]:
    """Look-up table that scales an 'L' image by ``level``."""
    return [int(v * level) for v in range(256)]


class _Sheet:
    """The oversampled canvas of one drawing."""

    def __init__(self, size: tuple[int, int], ground: Colour, light: Light, coat: Coat | None) -> None:
        self.picture = Image.new("RGB", size, _rgb(ground))
        self.alpha = Image.new("L", size, 0)
        self.light = light
        self.coat = coat

    def paint(self, part: Part, outline: Points) -> None:
        flat = outline.ravel().tolist()
        ImageDraw.Draw(self.alpha).polygon(flat, fill=255)
        span = np.ptp(outline, axis=0)
        if part.shade <= 0 or min(span) < 8:
            ImageDraw.Draw(self.picture).polygon(flat, fill=_rgb(part.fill))
        else:
            self._paint_round(part, outline, float(min(span)))

    def _paint_round(self, part: Part, outline: Points, thickness: float) -> None:
        step = 2 if thickness < 40 else 4
        pad = int(step * 4)
        left, top = (int(v) - pad for v in outline.min(0))
        width, height = (int(v) + 2 * pad for v in np.ptp(outline, axis=0))
        mask = Image.new("L", (width, height), 0)
        ImageDraw.Draw(mask).polygon((outline - (left, top)).ravel().tolist(), fill=255)
        small = mask.reduce(step)
        facing = slope(small, 0.2 * thickness / step, self.light)
        self._drop_shadow(small, (left, top), (width, height), thickness)
        strength = part.shade * self.light.contrast
        self.picture.paste(lit(part.fill, facing, strength).resize((width, height)), (left, top), mask)
        if part.pattern > 0 and self.coat is not None:
            cut = self.coat.field.crop((left, top, left + width, top + height))
            cut = ImageChops.multiply(mask, cut.point(_share(part.pattern)))
            over = lit(self.coat.colour, facing, strength).resize((width, height))
            self.picture.paste(over, (left, top), cut)

    def _drop_shadow(
        self, small: Image.Image, corner: tuple[int, int], size: tuple[int, int], thickness: float
    ) -> None:
        soft = small.filter(ImageFilter.BoxBlur(max(0.8, 0.04 * thickness))).resize(size)
        shift = 0.05 * thickness + 1
        at = (round(corner[0] - self.light.dx * shift), round(corner[1] - self.light.dy * shift))
        self.picture.paste((38, 30, 48), at, soft.point(_share(0.3)))


def _rgb(colour: Colour) -> tuple[int, int, int]:
    r, g, b = (int(min(max(c, 0), 255)) for c in colour)
    return r, g, b


def rasterise(parts: Sequence[Part], light: Light, coat: Coat | None = None, grain: Field | None = None) -> Sprite:
    """Paints ``parts`` (outlines in image pixels); ``grain`` h×w multiplies the colours (around 1)."""
    left, top, width, height = canvas_box(parts)
    sheet = _Sheet((width * OVERSAMPLE, height * OVERSAMPLE), parts[0].fill, light, coat)
    for part in parts:
        sheet.paint(part, (part.outline - (left, top)) * OVERSAMPLE)
    alpha = sheet.alpha.reduce(OVERSAMPLE)
    black = Image.new("RGB", sheet.picture.size)
    rgb = np.asarray(Image.composite(sheet.picture, black, sheet.alpha).reduce(OVERSAMPLE), dtype=np.float32)
    facing = slope(alpha, 0.16 * min(width, height), light)
    gain = 1 + 0.28 * light.contrast * facing
    if grain is not None:
        gain = gain * grain
    return Sprite(rgb * gain[..., None], levels(alpha), left, top)


def cast_shadow(parts: Sequence[Part], size: tuple[int, int], light: Light, grounded: bool) -> Field:
    """Soft shadow of a drawing, H×W in 0..1: lying on the ground, or falling behind it in the air."""
    width, height = size
    x0, _, x1, base = extent(parts)
    step = 3
    mask = Image.new("L", (width // step + 1, height // step + 1), 0)
    draw = ImageDraw.Draw(mask)
    for part in parts:
        outline = part.outline.copy()
        if grounded:
            rise = base - outline[:, 1]
            outline[:, 0] -= light.dx * 0.55 * rise
            outline[:, 1] = base - rise * 0.22
        else:
            outline -= np.array([light.dx, light.dy]) * 0.12 * (x1 - x0)
        draw.polygon((outline / step).ravel().tolist(), fill=255)
    soft = mask.filter(ImageFilter.GaussianBlur(0.012 * (width + height) / step + (0 if grounded else 2)))
    return levels(soft.resize((width + step, height + step)))[:height, :width]
