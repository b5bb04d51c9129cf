"""Inputs of an `Explainer` used as a library: PIL images, or a batch that is already normalised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from ...errors import CamxError, UnreadableImage
from ...images.geometry import Frame, Preprocessing
from ...images.listing import Source
from ...images.options import PixelOptions
from ...images.picture import Picture, prepare
from ...images.pixels import pixels_of


def as_pictures(inputs: Tensor | Image.Image | Sequence[Image.Image], preprocessing: Preprocessing) -> list[Picture]:
    """Returns pictures for `Explainer.explain`, in order.

    Turns images of any mode upright by their EXIF data and prepares them. Takes a tensor B×C×H×W as it is: it must be
    normalised and of the network's input size, and maps are drawn on it with mean and std undone. Raises `CamxError`
    for any other input.
    """
    if isinstance(inputs, Tensor):
        return [
            _of_tensor(pixels, f"image-{i}", preprocessing) for i, pixels in enumerate(_checked(inputs, preprocessing))
        ]
    images = [inputs] if isinstance(inputs, Image.Image) else list(inputs)
    for image in images:
        if not isinstance(image, Image.Image):
            raise CamxError(
                f"A {type(image).__name__} cannot be explained. Give PIL images, or one normalised tensor B×C×H×W."
            )
    try:
        pixels = [pixels_of(image, PixelOptions(), preprocessing.channels) for image in images]
    except UnreadableImage as error:
        raise CamxError(f"A picture cannot be explained: {error}.", "Give a normalised tensor B×C×H×W.") from error
    return [prepare(one, Source(f"image-{i}", ""), preprocessing) for i, one in enumerate(pixels)]


def _checked(batch: Tensor, preprocessing: Preprocessing) -> Tensor:
    height, width = preprocessing.input_size
    wanted = (preprocessing.channels, height, width)
    if batch.dim() != 4 or tuple(batch.shape[1:]) != wanted:
        raise CamxError(
            f"A tensor of shape {tuple(batch.shape)} cannot be explained: the network was prepared for B×"
            f"{'×'.join(map(str, wanted))}. Resize the batch, or set image_size where the network is loaded."
        )
    if not batch.is_floating_point():
        raise CamxError(f"A tensor of {batch.dtype} cannot be explained: normalised floating-point values are needed.")
    return batch.detach().float().cpu()


def _of_tensor(pixels: Tensor, key: str, preprocessing: Preprocessing) -> Picture:
    values = pixels.permute(1, 2, 0).numpy()
    height, width = preprocessing.input_size
    levels = (values * np.array(preprocessing.std) + np.array(preprocessing.mean)) * 255
    canvas = np.nan_to_num(levels).clip(0, 255).round().astype(np.uint8)
    canvas = canvas[..., :3] if canvas.shape[2] > 2 else canvas[..., :1].repeat(3, axis=2)
    return Picture(Source(key, ""), width, height, values, Frame(0, 0, width, height), canvas)
