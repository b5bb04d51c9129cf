"""Draws overlays on the device that holds the images of a batch, many at once; `outputs.drawing` draws single ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, embedding

from ...images.geometry import Frame, fitted
from ...images.orientation import Orientation
from ...maps.explanation import Explanation
from ...maps.heatmap import UNSEEN, interpolation, normalised, pixels_inside
from .device_decoding import eight_bit, on_host, resized

#: The most pixels of overlays in memory as float32 at once.
_AT_ONCE = 1 << 20
#: The index of an image, and that of one of its maps; `_BARE` stands for the image without a map.
_Place = tuple[int, int]
_BARE = -1


class OverlayRenderer:
    """Draws maps of one sign over images that are on a device; several threads may call it at once.

    palette: 256×3 uint8, the colours from nothing to the peak. alpha: their share over the image, in [0, 1].
    thumbnail: long side in pixels of a copy of the image without a map; 0 for none.
    """

    def __init__(self, palette: np.ndarray, alpha: float, thumbnail: int = 0) -> None:
        self._palette, self._alpha, self._thumbnail = torch.from_numpy(palette).float(), alpha, thumbnail

    def __call__(self, explanations: Sequence[Explanation], canvases: Sequence[Tensor | None]) -> list[Explanation]:
        """Returns the explanations with their overlays, and with thumbnails as canvases, in main memory.

        canvases: the whole image of each, uint8 H×W×3; an explanation without one is returned unchanged. A map that is
        not finite, or zero, gets no overlay.
        """
        alike: dict[tuple[torch.Size, Frame, tuple[int, ...]], dict[_Place, np.ndarray]] = defaultdict(dict)
        drawn: dict[_Place, Tensor] = {}
        problems = [one.problem for one in explanations]
        bare = {i: canvas for i, canvas in enumerate(canvases) if canvas is not None and not problems[i]}
        for image, canvas in bare.items():
            height, width = canvas.shape[:2]
            frame = explanations[image].picture.frame_on(width, height)
            for number, one in enumerate(explanations[image].maps):
                if (heat := normalised(one.values, fine=one.fine)) is not None:
                    alike[canvas.shape, frame, heat.shape][image, number] = heat
            if self._thumbnail:
                drawn[image, _BARE] = _reduced(canvas, self._thumbnail)
        for (_, frame, _), heats in alike.items():
            pictures = torch.stack([bare[image] for image, _ in heats])
            self._draw(pictures, np.stack([*heats.values()]), frame)
            drawn |= zip(heats, pictures, strict=True)
        pixels = dict(zip(drawn, on_host([*drawn.values()]), strict=True))
        return [_with(one, image, pixels) for image, one in enumerate(explanations)]

    def _draw(self, pictures: Tensor, heats: np.ndarray, frame: Frame) -> None:
        """Draws heats N×h×w in [0, 1] on images N×H×W×3 uint8, in place; `frame` is their part of it, in pixels.

        Repeats the arithmetic of `maps.heatmap.placed`, of Pillow's `blend`, and of the dimming outside the frame.
        """
        device, (height, width) = pictures.device, pictures.shape[1:3]
        rows, columns = pixels_inside(frame, width, height)
        bands = partial(_bands, at_once=max(1, _AT_ONCE // (len(pictures) * width)))
        drawn = pictures[:, rows, columns]
        some_unseen = drawn.shape != pictures.shape
        if some_unseen:
            drawn = drawn.clone()
            for band in bands(height):
                pictures[:, band] = pictures[:, band].float().mul_(UNSEEN).round_()
        palette = self._palette.to(device)
        down = torch.from_numpy(interpolation(heats.shape[1], frame.top, frame.bottom, height)[rows].copy()).to(device)
        across = torch.from_numpy(interpolation(heats.shape[2], frame.left, frame.right, width)[columns].copy()).to(
            device
        )
        wide = torch.from_numpy(heats).to(device) @ across.T
        for band in bands(drawn.shape[1]):
            bare = drawn[:, band].float()
            levels = (down[band] @ wide).clamp_(0, 1).mul_(255).round_().int()
            drawn[:, band] = embedding(levels, palette).sub_(bare).mul_(self._alpha).add_(bare)
        if some_unseen:
            pictures[:, rows, columns] = drawn


def _bands(rows: int, at_once: int) -> Iterator[slice]:
    """Yields slices of 0…rows, `at_once` rows each."""
    for top in range(0, rows, at_once):
        yield slice(top, top + at_once)


def _reduced(canvas: Tensor, side: int) -> Tensor:
    """Reduces an image H×W×3 uint8 to a long side of at most `side` pixels."""
    height, width = canvas.shape[:2]
    size = fitted(width, height, side)
    if size == (width, height):
        return canvas
    pixels = canvas.permute(2, 0, 1).float()
    # A box filter first: a much larger image would need a large kernel. Pillow's `reducing_gap` does the same.
    factor = min(width // size[0], height // size[1]) // 2
    if factor > 1:
        pixels = avg_pool2d(pixels, factor, ceil_mode=True)
    return eight_bit(resized(pixels, size, Orientation(), "bicubic"))


def _with(explanation: Explanation, image: int, pixels: Mapping[_Place, np.ndarray]) -> Explanation:
    """Returns an explanation with the pixels that were drawn for its image."""
    maps = [replace(one, overlay=pixels.get((image, number))) for number, one in enumerate(explanation.maps)]
    picture = replace(explanation.picture, canvas=pixels.get((image, _BARE), explanation.picture.canvas))
    return replace(explanation, picture=picture, maps=tuple(maps))
