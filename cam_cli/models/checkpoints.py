"""Finds the weights in a file that a training script saved, and removes the wrappers around them."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from ..errors import CamxError
from .configurations import configurations
from .placeholders import Placeholder, array_of, is_module, module_tensors, to_plain
from .remote_weights import local_weights
from .weights import Tensors, read_weights, weights_in

#: Keys under which training scripts keep the weights: averaged ones first, then plain ones.
EMA_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "params", "module", "weights")
#: Keys that only a training needs.
_NO_WEIGHTS = re.compile(
    r"optim|sched|scaler|(^|_)amp($|_)|rng|random|callback|^loops$|loss|criterion|metric|history|^(args|hyper_parameters|hparams|config|cfg)$"
)
#: Most tensors of a file, more than any network has: a few bytes of a pickle can name far more.
_MOST_TENSORS = 200_000
#: Most characters in the name of a tensor; those of the deepest networks have a hundred.
_LONGEST_NAME = 1000
#: Most wrappers around the weights.
_DEEPEST_WRAPPER = 4
#: Keys of metadata.
_ABOUT = (
    *("arch", "architecture", "args", "hyper_parameters", "hparams", "config", "cfg"),
    *("pretrained_cfg", "default_cfg", "data_config", "model_args", "model_kwargs", "model_name", "encoder_name"),
    *(
        "mean",
        "std",
        "img_size",
        "image_size",
        "input_size",
        "crop_pct",
        "interpolation",
        "backbone",
        "label_descriptions",
    ),
    *("id2label", "class_names", "classes", "class_to_idx", "idx_to_class", "label_names"),
)


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of a file, their place in it, and its metadata (architecture, class names …).

    beside: names of tensors next to the weights that are no weights (`best_acc1`). keys: outermost keys of the file.
    files: configurations beside the file, by name.
    """

    path: str
    tensors: Tensors
    key: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_checkpoint(path: str, *, ema: bool | None = None) -> Checkpoint:
    """Reads weights from `.safetensors`, `.pt`, `.pth`, `.ckpt`, or a folder that holds one.

    ema: None takes averaged weights if the file has them, True requires them, False ignores them. Raises `CamxError`
    for any other file, and names its format.
    """
    path = local_weights(path)
    if os.path.isdir(path):
        path = weights_in(path)
    content, metadata = read_weights(path)
    if metadata is not None:
        if ema:
            raise CamxError(f"`ema`: {path!r} is a .safetensors file, which holds one set of weights. Leave `ema` out.")
        return Checkpoint(path, _finite(content, path), "", _parsed(metadata), files=configurations(path))
    tensors, key, beside = _unwrapped(content, path, ema)
    about = {name: to_plain(content[name]) for name in _ABOUT if name in content and not _tensors_in(content[name])}
    if is_module(module := content.get(key)):
        about = {**_module_metadata(module), **about}
    keys = tuple(map(str, content))
    return Checkpoint(path, _finite(tensors, path), key, about, beside, keys, configurations(path))


def _module_metadata(module: Placeholder) -> dict[str, Any]:
    """Metadata of a pickled module: networks of timm hold their configuration."""
    own = {key: module.attribute(key) for key in ("pretrained_cfg", "class_names", "classes")}
    return {key: to_plain(value) for key, value in own.items() if value is not None}


def _parsed(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a .safetensors file, with JSON objects and lists parsed from their texts."""
    found = dict(metadata)
    for key, value in metadata.items():
        if isinstance(value, str) and value[:1] in ("{", "["):
            with contextlib.suppress(ValueError, RecursionError):
                found[key] = json.loads(value)
    return found


def _unwrapped(content: dict[str, Any], path: str, ema: bool | None) -> tuple[Tensors, str, tuple[str, ...]]:
    """Weights of a file, their key, and names of tensors beside them that are no weights.

    Weights under further keys (`{"state_dict": …, "head": …}`) get their key as prefix.
    """
    averaged = [k for k in EMA_WRAPPERS if _weights_of(content.get(k))]
    if ema and not averaged and not any("ema" in str(k) for k in _flat(content)):
        raise CamxError(f"`ema`: {path!r} holds no averaged weights (its keys: {_keys(content)}). Leave `ema` out.")
    known = (averaged if ema is not False else []) + list(WRAPPERS)
    key = next((key for key in known if _weights_of(content.get(key))), "")
    if not key:
        tensors = _flat(content)
        if not tensors:
            raise CamxError(
                f"The checkpoint {path!r} holds no weights (its keys: {_keys(content)}). Save model.state_dict()."
            )
        return tensors, "", ()
    copies = {*EMA_WRAPPERS, *(WRAPPERS if key in EMA_WRAPPERS else ()), key}
    others = {k: v for k, v in content.items() if k not in copies}
    beside = _flat(others)
    weights = {n: t for n, t in beside.items() if t.dim() > 1 or n.endswith((".weight", ".bias", ".running_mean"))}
    return {**_weights_of(content[key]), **weights}, key, tuple(n for n in beside if n not in weights)


def _weights_of(value: object, depth: int = _DEEPEST_WRAPPER) -> Tensors:
    """Tensors of a mapping, of another mapping inside it, or of a pickled module."""
    if is_module(value):
        return dict(module_tensors(value))
    if isinstance(value, Placeholder):
        value = value.pairs
    if not isinstance(value, Mapping) or not depth:
        return {}
    return _only_tensors(value) or next((t for k in WRAPPERS if (t := _weights_of(value.get(k), depth - 1))), {})


def _tensors_in(value: object) -> bool:
    inner = value.values() if isinstance(value, Mapping) else (value,)
    return is_module(value) or any(isinstance(one, torch.Tensor) for one in inner)


def _only_tensors(mapping: Mapping[Any, Any]) -> Tensors:
    return {k: t for k, v in mapping.items() if isinstance(k, str) and (t := _tensor_of(v)) is not None}


def _tensor_of(value: object) -> torch.Tensor | None:
    """The tensor of a tensor or NumPy array; None for anything else."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    numbers = array_of(value)
    return None if numbers is None else torch.from_numpy(numbers)


def _flat(mapping: Mapping[Any, Any]) -> Tensors:
    """All tensors in nested mappings by their joined names, without optimizer state and the like."""
    found: Tensors = {}
    left = [_MOST_TENSORS]
    _collect(mapping, "", 5, found, left)
    return found


def _collect(mapping: Mapping[Any, Any], prefix: str, depth: int, found: Tensors, left: list[int]) -> None:
    """Adds the tensors of a mapping to `found`. left: remaining number of entries to visit."""
    for key, value in mapping.items():
        left[0] -= 1
        if left[0] <= 0:
            return
        inner = value.pairs if isinstance(value, Placeholder) and value.pairs else value
        if not isinstance(key, str) or len(prefix) + len(key) > _LONGEST_NAME:
            continue
        if not isinstance(inner, torch.Tensor) and _NO_WEIGHTS.search(key):
            continue
        if (tensor := _tensor_of(inner)) is not None:
            found[prefix + key] = tensor
        elif is_module(inner):
            tensors = {f"{prefix}{key}.{n}": t for n, t in module_tensors(inner)}
            left[0] -= 10 * len(tensors)
            found |= tensors
        elif isinstance(inner, Mapping) and depth and "param_groups" not in inner:
            _collect(inner, f"{prefix}{key}.", depth - 1, found, left)


def _keys(content: Mapping[str, Any]) -> str:
    return ", ".join(f"{key!s:.60}" for key in islice(content, 5)) or "none"


def _finite(tensors: Tensors, path: str) -> Tensors:
    visited = set()
    for name, tensor in tensors.items():
        if len(name) > _LONGEST_NAME:
            raise CamxError(
                f"The checkpoint {path!r} has a tensor whose name has {len(name):,} characters. Save it again."
            )
        view = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if view in visited:
            continue
        visited.add(view)
        # torch has no comparison for one-byte floats.
        wide = tensor.float() if tensor.is_floating_point() and tensor.itemsize == 1 else tensor
        if tensor.is_floating_point() and not torch.isfinite(wide).all():
            raise CamxError(
                f"The checkpoint {path!r} has NaN or infinite values in {name!r}: "
                "the training diverged. Use an earlier checkpoint."
            )
    return tensors
