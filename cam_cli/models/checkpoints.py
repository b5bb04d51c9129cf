"""Checkpoints: the weights in what a training script saved, under the names of the network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import CamxError
from .placeholders import plain
from .weights import Tensors, read_weights, weights_in

#: Where training scripts keep the weights; averaged ones first, the plain ones after.
EMA_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "params", "module", "weights")
#: What a file says of itself.
_ABOUT = (
    *("arch", "architecture", "args", "hyper_parameters", "hparams", "config", "cfg"),
    *("class_names", "classes", "class_to_idx", "idx_to_class", "label_names"),
)


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file, where in it they were, and what it says of itself (architecture, class names …)."""

    path: str
    tensors: Tensors
    key: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: str, *, ema: bool | None = None) -> Checkpoint:
    """Weights from `.safetensors`, `.pt`, `.pth`, `.ckpt`, or a folder that holds one.

    `ema=None` takes averaged weights where the file has them, True insists on them, False refuses them.
    Raises `CamxError` that names what the file is instead, if it is none of these.
    """
    if os.path.isdir(path):
        path = weights_in(path)
    content, metadata = read_weights(path)
    if metadata is not None:
        if ema:
            raise CamxError(f"`ema`: {path!r} is a .safetensors file, which holds one set of weights. Leave `ema` out.")
        return Checkpoint(path, _finite(content, path), "", metadata)
    tensors, key = _unwrapped(content, path, ema)
    about = {name: plain(content[name]) for name in _ABOUT if name in content}
    return Checkpoint(path, _finite(tensors, path), key, about)


def _unwrapped(content: dict[str, Any], path: str, ema: bool | None) -> tuple[Tensors, str]:
    averaged = [k for k in EMA_WRAPPERS if _weights_of(content.get(k))]
    if ema and not averaged:
        raise CamxError(f"`ema`: {path!r} holds no averaged weights (its keys: {_keys(content)}). Leave `ema` out.")
    for key in (averaged if ema is not False else []) + list(WRAPPERS):
        if tensors := _weights_of(content.get(key)):
            return tensors, key
    tensors = _only_tensors(content)
    if not tensors:
        raise CamxError(
            f"The checkpoint {path!r} holds no weights (its keys: {_keys(content)}). Save model.state_dict()."
        )
    return tensors, ""


def _weights_of(value: object) -> Tensors:
    """The tensors of a mapping, or of the mapping that is wrapped once more in it."""
    if not isinstance(value, Mapping):
        return {}
    return _only_tensors(value) or next((t for k in WRAPPERS if (t := _weights_of(value.get(k)))), {})


def _only_tensors(mapping: Mapping[Any, Any]) -> Tensors:
    return {k: v.detach() for k, v in mapping.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}


def _keys(content: Mapping[str, Any]) -> str:
    return ", ".join(list(map(str, content))[:5]) or "none"


def _finite(tensors: Tensors, path: str) -> Tensors:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CamxError(
                f"The checkpoint {path!r} has NaN or infinite values in {name!r}: "
                "the training had diverged. Use an earlier one."
            )
    return tensors


def matched(checkpoint: Checkpoint, expected: Mapping[str, torch.Tensor]) -> tuple[Tensors, str]:
    """The checkpoint's tensors under the names of a network's `state_dict()`, and the prefix that was taken off.

    Tensors under another prefix than the network's (a loss, a metric) are no part of it and are left.
    Shapes are not compared here. Raises `CamxError` naming the tensors that are missing or too many.
    """
    tensors, prefix = _without_prefix(checkpoint, expected)
    optional = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = [n for n in expected if n not in tensors and n not in optional]
    extra = [n for n in tensors if n not in expected and n != "n_averaged"]
    if missing or extra:
        raise CamxError(_mismatch(checkpoint, missing, extra, len(missing) == len(expected) - len(optional)))
    return {n: t for n, t in tensors.items() if n in expected}, prefix


def _without_prefix(checkpoint: Checkpoint, expected: Mapping[str, torch.Tensor]) -> tuple[Tensors, str]:
    """The tensors below the prefix (`module.`, `model.`, `backbone.` …) that makes most of them fit.

    Raises `CamxError` where two prefixes fit as well: two networks in one file.
    """
    tensors = checkpoint.tensors
    fitting: dict[str, Tensors] = {"": tensors}
    most = sum(name in expected for name in tensors)
    for prefix in _prefixes(tensors, expected):
        stripped = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        hits = sum(name in expected for name in stripped)
        if hits > most:
            fitting, most = {}, hits
        if hits == most and most:
            fitting[prefix] = stripped
    if len(fitting) > 1 and most:
        raise CamxError(
            f"The checkpoint {checkpoint.path!r} holds several networks ({', '.join(map(repr, fitting))}). "
            "Save the one to be explained on its own."
        )
    return next((t, p) for p, t in fitting.items())


def _prefixes(tensors: Tensors, expected: Mapping[str, torch.Tensor]) -> list[str]:
    """What stands before the network's first and last names in the checkpoint."""
    names = list(expected)
    found = (n.removesuffix(w) for w in {*names[:2], *names[-2:]} for n in tensors if n.endswith(f".{w}"))
    return sorted(set(found))


def _mismatch(checkpoint: Checkpoint, missing: list[str], extra: list[str], all_missing: bool) -> str:
    if all_missing:
        return (
            f"The checkpoint {checkpoint.path!r} belongs to another architecture: none of its tensors "
            f"({_few(extra)}) is in this model, which wants {_few(missing)}. Give the `model` it was trained as."
        )
    parts = [f"misses {_few(missing)}"] * bool(missing) + [f"has {_few(extra)} too many"] * bool(extra)
    return (
        f"The checkpoint {checkpoint.path!r} {' and '.join(parts)}. "
        "Give the `model` (and `model_arg`) it was trained as."
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
