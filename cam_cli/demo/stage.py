"""The image under construction, and the placement of drawings on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .backgrounds import draw_backdrop
from .raster import Field, Light, Sprite, canvas_box, cast_shadow, extent, rasterise
from .shapes import Colour, Part, moved
from .texture import draw_coat, noise

Mask = NDArray[np.bool_]


@dataclass
class Stage:
    """The image under construction: ``picture`` H×W×3 in 0..255, ``size`` as (width, height)."""

    rng: np.random.Generator
    size: tuple[int, int]
    picture: Field
    horizon: float
    light: Light

    def shade(self, parts: Sequence[Part], grounded: bool, depth: float) -> None:
        """Darkens the image by the shadow of ``parts``; ``depth`` is its strength, 0..1."""
        shadow = cast_shadow(parts, self.size, self.light, grounded)
        self.picture *= 1 - (depth * shadow)[..., None] * np.array([0.95, 0.9, 0.8], np.float32)

    def paste(self, sprite: Sprite) -> Field:
        """Lays the sprite over the image; returns its alpha on the whole image, H×W."""
        alpha = np.zeros((self.size[1], self.size[0]), dtype=np.float32)
        height, width = sprite.alpha.shape
        x0, y0 = max(sprite.left, 0), max(sprite.top, 0)
        x1, y1 = min(sprite.left + width, self.size[0]), min(sprite.top + height, self.size[1])
        if x1 <= x0 or y1 <= y0:
            return alpha
        rows, columns = slice(y0 - sprite.top, y1 - sprite.top), slice(x0 - sprite.left, x1 - sprite.left)
        alpha[y0:y1, x0:x1] = sprite.alpha[rows, columns]
        behind = self.picture[y0:y1, x0:x1]
        behind *= 1 - sprite.alpha[rows, columns, None]
        behind += sprite.rgb[rows, columns]
        return alpha


@dataclass(frozen=True)
class Placed:
    """An object on the image: the ``area`` of its whole shape in pixels, and its ``visible`` alpha, H×W."""

    area: float
    visible: Field

    def visible_under(self, cover: Field) -> Mask:
        """Returns the pixels that stay visible under ``cover`` (H×W alpha)."""
        return np.asarray((self.visible > 0.5) & (cover <= 0.5))

    def hidden(self, cover: Field) -> float:
        """Returns the share of the whole shape that is not visible under ``cover``, 0..1."""
        return 1 - float(self.visible_under(cover).sum()) / self.area


def fitted(parts: Sequence[Part], tall: float, turn: float, flip: bool, stretch: float) -> list[Part]:
    """Parts in pixels: scaled so the larger of height and 0.75 × width is ``tall``, base centre at (0, 0)."""
    turned = [replace(p, outline=moved(p.outline * (stretch, 1.0), turn=turn, flip=flip)) for p in parts]
    x0, y0, x1, y1 = extent(turned)
    scale = tall / max(y1 - y0, 0.75 * (x1 - x0))
    middle = (x0 + x1) / 2
    return [replace(p, outline=(p.outline - (middle, y1)) * scale) for p in turned]


def shifted(parts: Sequence[Part], x: float, y: float) -> list[Part]:
    """Parts moved by (x, y)."""
    return [replace(p, outline=p.outline + (x, y)) for p in parts]


def dressed(stage: Stage, parts: list[Part], colour: Colour) -> Sprite:
    """Paints ``parts`` (in image pixels) with a random coat pattern in ``colour`` and fine grain."""
    _, _, width, height = canvas_box(parts)
    coat = draw_coat(stage.rng, parts, colour)
    grain = 1 + 0.035 * noise(stage.rng, (height, width), max(6.0, height / 8), octaves=2)
    return rasterise(parts, stage.light, coat, grain)


def set_stage(rng: np.random.Generator, size: tuple[int, int]) -> Stage:
    """Returns a new stage: random backdrop and light; ``size`` is (width, height) in pixels."""
    backdrop = draw_backdrop(rng, size)
    lean = rng.uniform(-0.9, 0.9)
    light = Light(float(np.sin(lean)), float(-np.cos(lean)), rng.uniform(0.6, 1.15))
    return Stage(rng, size, backdrop.picture.copy(), backdrop.horizon, light)
