"""Inputs of an `Explainer` used as a library: paths, images and arrays, or a batch that is already normalised."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ...errors import CamxError, UnreadableImage
from ...images.geometry import Frame, Preprocessing
from ...images.listing import Source
from ...images.options import PixelOptions
from ...images.picture import Picture, Unreadable, load, prepare
from ...images.pixels import pixels_of

#: One image: a path, a PIL image, or an array H×W×3 (RGB) or H×W of type uint8.
AnyImage = str | os.PathLike[str] | Image.Image | np.ndarray
Inputs = Tensor | AnyImage | Iterable[AnyImage]


def as_pictures(inputs: Inputs, preprocessing: Preprocessing, labels: Sequence[str] = ()) -> list[Picture]:
    """Returns inputs as pictures for `Explainer.explain`, in order.

    Turns images of any mode upright by their EXIF data and prepares them; reads files as `camx explain` does. A tensor
    B×C×H×W must be normalised and of the network's input size; maps are drawn on it with mean and std undone. labels:
    the true class of each image as text, "" for none. Raises `CamxError` for any other input.
    """
    if isinstance(inputs, Tensor):
        images: list[Any] = list(_checked(inputs, preprocessing))
    elif isinstance(inputs, (str, os.PathLike, Image.Image, np.ndarray)):
        images = [inputs]
    elif isinstance(inputs, Iterable) and not isinstance(inputs, (bytes, Mapping)):
        images = list(inputs)
        if any(isinstance(image, Tensor) for image in images):
            raise CamxError("A list of tensors cannot be explained.", "Give one tensor B×C×H×W: torch.stack(tensors).")
    else:
        raise _no_image(inputs)
    texts = [*labels, *[""] * (len(images) - len(labels))]
    return [
        _picture(image, Source(f"image-{i}", "", text), preprocessing)
        for i, (image, text) in enumerate(zip(images, texts))
    ]


def _picture(image: object, source: Source, preprocessing: Preprocessing) -> Picture:
    if isinstance(image, Tensor):
        return _of_tensor(image, source, preprocessing)
    if isinstance(image, (str, os.PathLike)):
        return _of_file(replace(source, path=os.fspath(image)), preprocessing)
    if isinstance(image, np.ndarray):
        image = _of_array(image)
    if not isinstance(image, Image.Image):
        raise _no_image(image)
    if 0 in image.size:
        raise CamxError(f"An image of {image.width}×{image.height} pixels cannot be explained.", "Leave it out.")
    try:
        return prepare(pixels_of(image, PixelOptions(), preprocessing.channels), source, preprocessing)
    except UnreadableImage as error:
        raise CamxError(f"An image cannot be explained: {error}.", "Give a normalised tensor B×C×H×W.") from error


def _of_file(source: Source, preprocessing: Preprocessing) -> Picture:
    loaded = load(source, preprocessing)
    if isinstance(loaded, Picture):
        return loaded
    reason = loaded.reason if isinstance(loaded, Unreadable) else "it is too large"
    raise CamxError(f"The image {source.path!r} cannot be explained: {reason}.", "Check the path, or leave it out.")


def _of_array(array: np.ndarray) -> Image.Image:
    colours = array.ndim == 3 and array.shape[2] in (1, 3, 4)
    if array.dtype != np.uint8 or not (array.ndim == 2 or colours) or array.size == 0:
        shape = "×".join(map(str, array.shape)) or "scalar"
        raise CamxError(
            f"An array {shape} of type {array.dtype} cannot be explained.",
            "Give uint8 from 0 to 255 as H×W×3 (RGB) or H×W, or one normalised tensor B×C×H×W.",
        )
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _no_image(value: object) -> CamxError:
    return CamxError(
        f"A {type(value).__name__} cannot be explained.",
        "Give paths, PIL images, arrays H×W×3 of type uint8, or one normalised tensor B×C×H×W.",
    )


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


def _of_tensor(pixels: Tensor, source: Source, preprocessing: Preprocessing) -> Picture:
    values = pixels.permute(1, 2, 0).numpy()
    height, width = preprocessing.input_size
    levels = (values * np.array(preprocessing.std) + np.array(preprocessing.mean)) * 255
    canvas = np.nan_to_num(levels).clip(0, 255).round().astype(np.uint8)
    canvas = canvas[..., :3] if canvas.shape[2] > 2 else canvas[..., :1].repeat(3, axis=2)
    return Picture(source, width, height, values, Frame(0, 0, width, height), canvas)
