"""Converts the preprocessing of open_clip to camx's own, verified on test images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ...errors import CamxError
from ...images.geometry import Preprocessing
from ...images.options import CropMode
from ..hf.place import HubPlace
from ..hf.processor import EXACT, difference, probes
from ..preprocessing import pair, per_channel

_CROPS = {"shortest": "center", "longest": "border", "squash": "squash"}


def preprocessing_of(library: Any, network: Any, place: HubPlace) -> Preprocessing:
    """Returns the preprocessing of a network that open_clip has built.

    Raises `CamxError` if camx cannot reproduce it.
    """
    stated: Mapping[str, Any] = network.visual.preprocess_cfg
    own = library.image_transform(
        stated["size"],
        is_train=False,
        mean=tuple(per_channel(_values(stated["mean"]), 3)),
        std=tuple(per_channel(_values(stated["std"]), 3)),
        resize_mode=stated["resize_mode"],
        interpolation=stated["interpolation"],
        fill_color=stated["fill_color"],
    )
    height, width = pair(stated["size"])
    images = probes((height, width), 3)
    wanted = [np.asarray(own(image), np.float64) for image in images]
    for candidate in _candidates(stated, (height, width)):
        if max(difference(candidate, False, image, values)[1] for image, values in zip(images, wanted)) <= EXACT:
            return candidate
    raise CamxError(
        f"The preprocessing of {place.name!r} (resize_mode {stated['resize_mode']!r}, interpolation "
        f"{stated['interpolation']!r}) has no counterpart in camx that equals it.",
        "Give your own code that prepares the images, `model=my_module.py:build`.",
    )


def _candidates(stated: Mapping[str, Any], size: tuple[int, int]) -> Iterator[Preprocessing]:
    """Yields the meanings of the settings: for rectangles, open_clip 3.3 always interpolates bicubically."""
    how = "bilinear" if stated["interpolation"] == "bilinear" else "bicubic"
    mean, std = (tuple(per_channel(_values(stated[key]), 3)) for key in ("mean", "std"))
    crop = cast(CropMode, _CROPS[stated["resize_mode"]])
    fill = int(stated["fill_color"]) if crop == "border" else None
    first = Preprocessing(size, size, crop, how, mean, std, fill=fill)
    yield first
    if size[0] != size[1]:
        yield replace(first, interpolation="bicubic")


def _values(value: Any) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (float(value),)
