"""Superpixels and segments of the images of a batch, from the pixels of the network's input."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..tracing.replay import Replay
from .graph_segments import segments
from .superpixels import superpixels

#: The approximate number of superpixels of an image.
SUPERPIXELS = 50
#: Scales of the segments of an image, and the pixels of the smallest one, both for 224×224 pixels (XRAI, authors'
#: code).
SCALES, LEAST = (50.0, 100.0, 150.0, 250.0, 500.0, 1200.0), 150
#: The longest side of an image that is segmented, in pixels.
LARGEST = 224


def superpixels_of(replay: Replay, classes: Tensor) -> list[Tensor]:
    """Returns the superpixel of each pixel of each image, H×W int64 each; computed once for all methods."""

    def compute() -> list[Tensor]:
        found = [superpixels(pixels, SUPERPIXELS) for pixels in _pixels(replay, replay.inputs)]
        return [torch.from_numpy(one).to(replay.inputs.device) for one in found]

    return replay.shared("superpixels", classes, compute)


def segments_of(replay: Replay, classes: Tensor) -> list[list[np.ndarray]]:
    """Returns the segments of each image at each scale, h×w int64 each, with h and w at most 224."""

    def compute() -> list[list[np.ndarray]]:
        small = reduced(replay.inputs)
        return [segments(pixels, SCALES, LEAST) for pixels in _pixels(replay, small)]

    return replay.shared("segments", classes, compute)


def reduced(values: Tensor) -> Tensor:
    """Returns B×C×H×W as means over areas, if the longer side has more than 224 pixels."""
    height, width = values.shape[2:]
    share = LARGEST / max(height, width)
    if share >= 1:
        return values
    return interpolate(values, (max(1, round(height * share)), max(1, round(width * share))), mode="area")


def _pixels(replay: Replay, inputs: Tensor) -> list[np.ndarray]:
    """Returns images H×W×C from 0, black, to 1, white; unchanged if the normalisation is unknown."""
    span = torch.as_tensor(replay.white - replay.black, device=inputs.device)
    plain = torch.where(span > 0, (inputs - replay.black) / torch.where(span > 0, span, 1.0), inputs)
    return list(plain.nan_to_num().permute(0, 2, 3, 1).cpu().double().numpy())
