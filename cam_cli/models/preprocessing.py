"""How a model wants its pictures: its own data configuration with the user's options over it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from ..errors import CamxError
from ..images.geometry import INTERPOLATIONS, Preprocessing, scaled_for_crop
from ..images.options import CropMode
from .options import PreprocessingOptions


def per_channel(values: Any, channels: int) -> tuple[float, ...]:
    given = tuple(float(v) for v in values)
    if len(given) == channels:
        return given
    if channels == 1:
        return (sum(given) / len(given),)
    raise CamxError(f"The model wants {channels} channels; camx explains colour (3) and grey (1) pictures.")


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
    """A model's own configuration with the user's options over it."""
    size = (options.image_size, options.image_size) if options.image_size else input_size
    resampling = options.interpolation or (interpolation if interpolation in INTERPOLATIONS else "bicubic")
    return Preprocessing(
        input_size=size,
        resize=scaled_for_crop(size, options.crop_pct or crop_pct),
        crop_mode=cast(CropMode, options.crop_mode or crop_mode),
        interpolation=resampling,
        mean=per_channel(
            options.mean * len(mean) if options.mean and len(options.mean) == 1 else options.mean or mean, len(mean)
        ),
        std=per_channel(
            options.std * len(std) if options.std and len(options.std) == 1 else options.std or std, len(std)
        ),
    )


def overridden(own: Preprocessing, options: PreprocessingOptions) -> Preprocessing:
    """A known preprocessing with the user's options over it; the crop keeps its share at another size."""
    changed = resolved(
        options,
        input_size=own.input_size,
        crop_pct=own.input_size[0] / own.resize[0],
        crop_mode=own.crop_mode,
        interpolation=own.interpolation,
        mean=own.mean,
        std=own.std,
    )
    return changed if options.crop_pct or options.image_size else replace(changed, resize=own.resize)
