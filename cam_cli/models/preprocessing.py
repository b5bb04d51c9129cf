"""Combines the data configuration of a model with the options of the user."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

from ..errors import CamxError
from ..images.geometry import INTERPOLATIONS, Preprocessing, scaled_for_crop
from ..images.options import CropMode
from ..sentences import counted
from .options import PreprocessingOptions


def per_channel(values: Any, channels: int) -> tuple[float, ...]:
    """Returns a library's mean or std for a network of `channels`; NaN if it is unknown."""
    numbers = tuple(float(v) for v in values)
    if len(numbers) == channels:
        return numbers
    if channels == 1:
        return (sum(numbers) / len(numbers),)
    return numbers * channels if len(numbers) == 1 else (math.nan,) * channels


def resolved(
    options: PreprocessingOptions,
    *,
    input_size: tuple[int, int],
    crop_pct: float,
    crop_mode: str,
    interpolation: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Preprocessing:
    """Returns the model's configuration with the options of the user.

    Raises `CamxError` for a mean or std of another number of channels.
    """
    size = pair(options.image_size) if options.image_size else input_size
    resampling = options.interpolation or (interpolation if interpolation in INTERPOLATIONS else "bicubic")
    return Preprocessing(
        input_size=size,
        resize=scaled_for_crop(size, options.crop_pct or crop_pct),
        crop_mode=cast(CropMode, options.crop_mode or crop_mode),
        interpolation=resampling,
        mean=_chosen("mean", options.mean, mean),
        std=_chosen("std", options.std, std),
    )


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of an input size."""
    return (size, size) if isinstance(size, int) else size


def _chosen(name: str, option: tuple[float, ...] | None, own: tuple[float, ...]) -> tuple[float, ...]:
    if option is None:
        return own
    if len(option) in (1, 3) and len(own) in (1, 3):
        return per_channel(option, len(own))
    if len(option) not in (1, len(own)):
        raise CamxError(
            f"`{name}` has {len(option)} values, but the network takes {counted(len(own), 'channel')}.",
            "Give one value for each, or one for all.",
            field=name,
        )
    return option * (len(own) // len(option))


def check_known(preprocessing: Preprocessing) -> None:
    """Raises `CamxError` if mean or std is unknown, because the network has another number of channels."""
    missing = [name for name in ("mean", "std") if any(map(math.isnan, getattr(preprocessing, name)))]
    if missing:
        raise CamxError(
            f"The network takes {counted(preprocessing.channels, 'channel')}, but their "
            f"{' and '.join(f'`{name}`' for name in missing)} are unknown.",
            "Give one value for each channel, or one for all.",
            field=missing[0],
        )


def overridden(own: Preprocessing, options: PreprocessingOptions) -> Preprocessing:
    """Returns a known preprocessing with the options of the user. At another size the crop keeps its share."""
    changed = resolved(
        options,
        input_size=own.input_size,
        crop_pct=own.input_size[0] / own.resize[0],
        crop_mode=own.crop_mode,
        interpolation=own.interpolation,
        mean=own.mean,
        std=own.std,
    )
    sized = options.image_size or options.crop_pct or options.crop_mode
    changed = replace(changed, centring=own.centring, divisor=own.divisor, fill=own.fill)
    changed = replace(changed, whole=own.whole and not sized)
    return changed if options.crop_pct or options.image_size else replace(changed, resize=own.resize)
