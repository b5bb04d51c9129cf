"""Resolves each input setting: the option of the user, else the checkpoint's, else the model's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import CamxError
from ..images.geometry import Preprocessing
from .checkpoint_settings import CheckpointSettings
from .options import PreprocessingOptions
from .preprocessing import check_known, overridden

#: Values of the input in the order of the printed line.
VALUES = ("image_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")


@dataclass(frozen=True)
class InputSettings:
    """A preprocessing, the origin of each value, and contradictions between the user and the checkpoint."""

    preprocessing: Preprocessing
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def input_settings(
    own: Preprocessing,
    file_settings: CheckpointSettings,
    options: PreprocessingOptions,
    *,
    model: str,
    option_origins: Mapping[str, str],
    path: str = "",
    built_in: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
) -> InputSettings:
    """Resolves the preprocessing.

    own: preprocessing of the model, whose origin text is `model`. file_settings: those of the checkpoint.
    option_origins: origin of each option by its field. path: of the checkpoint. built_in: mean and std inside the
    checkpoint's network. Raises `CamxError` for impossible values in the checkpoint, unless an option replaces them.
    """
    wanted = {one.name: getattr(options, one.name) for one in fields(options)}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if built_in:
        names = dict.fromkeys(("mean", "std"), "the checkpoint's tensors")
        file_settings = replace(
            file_settings,
            values={**file_settings.values, "mean": built_in[0], "std": built_in[1]},
            origins={**file_settings.origins, **names},
        )
    taken = {name: value for name, value in file_settings.values.items() if name not in wanted}
    if "image_size" in wanted or "crop_pct" in wanted:
        taken.pop("resize", None)
    resize = taken.pop("resize", None)
    try:
        stated = PreprocessingOptions(**taken)
        preprocessing = overridden(own, stated)
    except CamxError as error:
        raise CamxError(
            f"The checkpoint {path!r} has an impossible setting: {error}", "Give the right value as an option."
        ) from error
    if resize is not None and "crop_pct" not in taken:
        sides = resize if isinstance(resize, tuple) else (resize, resize)
        preprocessing = replace(preprocessing, resize=sides)
    preprocessing = overridden(preprocessing, options)
    check_known(preprocessing)
    origins = dict.fromkeys(VALUES, model)
    origins |= {name: file_settings.origins[name] for name in taken}
    if resize is not None:
        origins["crop_pct"] = file_settings.origins["resize"]
    origins |= {name: option_origins.get(name, "an option") for name in wanted}
    return InputSettings(preprocessing, origins, tuple(_contradictions(file_settings, wanted)))


def _contradictions(file_settings: CheckpointSettings, wanted: Mapping[str, Any]) -> list[str]:
    return [
        f"camx uses `{name}` {_shown(value)}, not {_shown(file_settings.values[name])} "
        f"from {file_settings.origins[name]}."
        for name, value in wanted.items()
        if name in file_settings.values and not _same(value, file_settings.values[name])
    ]


def _same(one: Any, other: Any) -> bool:
    one, other = (value if isinstance(value, tuple) else (value,) for value in (one, other))
    if len(one) != len(other):
        one, other = (value * 3 if len(value) == 1 else value for value in (one, other))
    return bool(one == other)


def _shown(value: Any) -> str:
    return (
        ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
        if isinstance(value, tuple)
        else str(value)
    )


def input_line(preprocessing: Preprocessing, origins: Mapping[str, str], *, silent: bool) -> str:
    """`224×224, bicubic, crop 0.95, mean 0.5, std 0.5 (from …)`. silent: the checkpoint has no input settings."""
    height, width = preprocessing.input_size
    mean, std = (" ".join(f"{v:g}" for v in values) for values in (preprocessing.mean, preprocessing.std))
    mode = "" if preprocessing.crop_mode == "center" else f" {preprocessing.crop_mode}"
    crop = f"crop {height / preprocessing.resize[0]:.3g}{mode}"
    size = f"{height}×{width}"
    if preprocessing.divisor:
        size, crop = f"short side {height}", f"whole, sides multiples of {preprocessing.divisor}"
    line = f"{size}, {preprocessing.interpolation}, {crop}, mean {mean}, std {std}"
    if preprocessing.whole:
        line = f"the whole image at its own size, mean {mean}, std {std}"
    by_origin: dict[str, list[str]] = {}
    for name in VALUES:
        if name in origins:
            by_origin.setdefault(origins[name], []).append(name)
    if not by_origin:
        return line
    most = max(by_origin, key=lambda origin: len(by_origin[origin]))
    others = [f"{', '.join(_word(n) for n in names)} from {o}" for o, names in by_origin.items() if o != most]
    note = "; the checkpoint has no input settings" * silent
    return f"{line} ({'; '.join([*others, ('the rest ' if others else '') + f'from {most}'])}{note})"


def _word(name: str) -> str:
    return {"image_size": "size", "crop_pct": "crop", "crop_mode": "crop mode"}.get(name, name)
