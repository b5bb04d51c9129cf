"""Reads input settings and arguments of a network from the metadata of a checkpoint and the files beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..images.options import CROP_MODES, RESAMPLINGS
from .checkpoints import Checkpoint

#: Scripts that wrote a file.
TORCHVISION, EXAMPLE = "torchvision's training script", "the ImageNet example script"
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_ARGUMENTS = ("args", "hyper_parameters", "hparams", "config", "cfg")
_CONFIGS = ("pretrained_cfg", "default_cfg", "data_config")
_SIZES = ("input_size", "img_size", "image_size", "val_crop_size")


@dataclass(frozen=True)
class CheckpointSettings:
    """Settings from a checkpoint.

    values: input settings by the fields of `PreprocessingOptions`, and `resize`, the short side before the crop. args:
    arguments of the architecture. origins: source of each, as text that follows "from".
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)


def checkpoint_settings(checkpoint: Checkpoint) -> CheckpointSettings:
    """Reads the settings of a checkpoint.

    For each value the first source counts: the file, its arguments, then the files beside it.
    """
    values: dict[str, Any] = {}
    args: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, metadata in _sources(checkpoint):
        found = input_values(metadata)
        new_args = {k: v for k, v in _build_arguments(metadata).items() if k not in args}
        new = {k: v for k, v in found.items() if k not in values}
        values |= new
        args |= new_args
        origins |= dict.fromkeys((*new, *new_args), origin)
    writer = written_by(checkpoint)
    if writer:
        known = {"image_size": 224, "resize": 256, "interpolation": "bilinear", **_IMAGENET}
        missing = {k: v for k, v in known.items() if k not in values}
        values |= missing
        origins |= dict.fromkeys(missing, writer)
    return CheckpointSettings(values, args, origins)


def written_by(checkpoint: Checkpoint) -> str:
    """Script that wrote a file, if recognisable, else "".

    Both scripts train only networks of torchvision. torchvision's stores the network under `model` and names it in its
    arguments; the example names it under `arch`, beside its best accuracy, and stores no arguments.
    """
    about, arguments = checkpoint.about, checkpoint.about.get("args")
    if "arch" in about and "args" not in about and {"best_acc1", "best_prec1", "best_acc"} & set(checkpoint.keys):
        return EXAMPLE
    if isinstance(arguments, Mapping) and "arch" not in about and checkpoint.key.startswith("model"):
        known = {"val_resize_size", "val_crop_size", "lr_scheduler", "test_only"} & set(arguments)
        return TORCHVISION if known or "lr_scheduler" in checkpoint.keys else ""
    return ""


def input_values(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Input settings from a mapping with the names of timm, torchvision or a preprocessor of transformers."""
    found: dict[str, Any] = {}
    if size := next((size for key in _SIZES if (size := _size(metadata.get(key)))), None):
        found["image_size"] = size
    if resize := _size(metadata.get("val_resize_size")):
        found["resize"] = resize
    for key in ("mean", "std"):
        if numbers := _numbers(metadata.get(key)):
            found[key] = numbers
    share = metadata.get("crop_pct")
    if isinstance(share, (int, float)) and not isinstance(share, bool) and 0 < share <= 1:
        found["crop_pct"] = float(share)
    for key, choices in (("crop_mode", CROP_MODES), ("interpolation", RESAMPLINGS)):
        if metadata.get(key) in choices:
            found[key] = metadata[key]
    return found


def preprocessor_values(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Input settings from a `preprocessor_config.json` of transformers."""
    named = {"mean": metadata.get("image_mean"), "std": metadata.get("image_std")}
    found: dict[str, Any] = {key: numbers for key, value in named.items() if (numbers := _numbers(value))}
    size, crop = (_side(metadata.get(key)) for key in ("size", "crop_size"))
    if metadata.get("do_center_crop") and crop:
        found |= {"image_size": crop} | ({"val_resize_size": size} if size else {})
    elif size:
        found["image_size"] = size
        if isinstance(metadata.get("size"), Mapping) and "height" in metadata["size"]:
            found["crop_mode"] = "squash"
        if isinstance(metadata.get("crop_pct"), float) and 0 < metadata["crop_pct"] <= 1:
            found["crop_pct"] = metadata["crop_pct"]
    resample = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
    if isinstance(number := metadata.get("resample"), int) and number in resample:
        found["interpolation"] = resample[number]
    return found


def nested(about: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Metadata of the file, then of its arguments, from the outside in (hydra: `cfg.model.name`)."""
    yield "the checkpoint", about
    todo = [(key, value) for key in _ARGUMENTS if isinstance(value := about.get(key), Mapping)]
    for key, metadata in todo:
        if len(todo) > 200:
            break
        yield f"the checkpoint's {key}", metadata
        todo += [(key, value) for value in metadata.values() if isinstance(value, Mapping)]


def _sources(checkpoint: Checkpoint) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for origin, metadata in nested(checkpoint.about):
        for key in _CONFIGS:
            if isinstance(config := metadata.get(key), Mapping):
                yield f"the checkpoint's {key}", config
        yield origin, metadata
    for name, content in checkpoint.files.items():
        origin = f"{name} beside the checkpoint"
        if name == "preprocessor_config.json":
            yield origin, preprocessor_values(content)
            continue
        for key in _CONFIGS:
            if isinstance(config := content.get(key), Mapping):
                yield origin, config
        yield origin, content


def _build_arguments(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the architecture in the metadata."""
    found: dict[str, Any] = {}
    for key in ("model_args", "model_kwargs"):
        if isinstance(more := metadata.get(key), Mapping):
            found |= {k: v for k, v in more.items() if isinstance(k, str) and k.isidentifier()}
    if isinstance(metadata.get("gp"), str):
        found["global_pool"] = metadata["gp"]
    if isinstance(channels := metadata.get("in_chans"), int) and channels in (1, 3) and "model" in metadata:
        found["in_chans"] = channels
    found.pop("num_classes", None)  # the tensors decide
    return found


def _size(value: object) -> int | tuple[int, int] | None:
    """`224`, `(224, 224)` or `(3, 224, 224)` as one side, if both are equal."""
    if isinstance(value, (list, tuple)) and len(value) in (2, 3) and all(_whole(side) for side in value):
        height, width = value[-2:]
        return height if height == width else (height, width)
    return value if isinstance(value, int) and _whole(value) else None


def _side(value: object) -> int | None:
    if isinstance(value, Mapping):
        value = value.get("shortest_edge", value.get("height"))
    return value if isinstance(value, int) and _whole(value) else None


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 100_000


def _numbers(value: object) -> tuple[float, ...] | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, (list, tuple)) or len(value) not in (1, 3):
        return None
    if not all(isinstance(v, (int, float)) and math.isfinite(v) for v in value):
        return None
    return tuple(float(v) for v in value)
