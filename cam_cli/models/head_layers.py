"""Infers the layers of a head from names and shapes of its tensors: linear layers, norms, activations."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, takewhile

import torch
from torch import nn

from ..errors import CamxError
from .weights import Tensors

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "identity": nn.Identity,
}
#: Names of layers that give scores. A matrix without bias under another name may be a margin or a prototype.
_ORDINARY = ("fc", "head", "heads", "classifier", "linear", "lin", "logits", "last_linear", "output", "out", "top")
_REST = {"bias", "running_mean", "running_var", "num_batches_tracked"}
#: Most layers with tensors of a head, and most linear layers among them.
_MOST_LAYERS, _MOST_LINEAR = 8, 3


@dataclass(frozen=True)
class HeadLayers:
    """A head, layer by layer: module path → module.

    stem: common prefix of its tensor names. features, classes: numbers of inputs and outputs. guessed: whether an
    activation is assumed. fastai: whether its layers have the order of fastai.
    """

    layers: OrderedDict[str, nn.Module]
    names: Tensors
    stem: str
    features: int
    classes: int
    guessed: bool = False
    fastai: bool = False

    def __str__(self) -> str:
        steps = []
        for layer in self.layers.values():
            name = type(layer).__name__
            steps.append(f"{name} {layer.in_features}→{layer.out_features}" if isinstance(layer, nn.Linear) else name)
        return ", ".join(steps)

    @property
    def what(self) -> str:
        """Name of the head for messages."""
        return self.stem.rstrip(".") or "its last tensors"

    def module(self) -> nn.Module:
        if len(self.layers) == 1:
            return next(iter(self.layers.values()))
        return nn.Sequential(OrderedDict((name.replace(".", "_"), one) for name, one in self.layers.items()))

    def tensors(self) -> list[torch.Tensor]:
        """Tensors in the order of the `state_dict()` of its module."""
        found = []
        for path, layer in self.layers.items():
            for leaf, own in layer.state_dict().items():
                name = self.stem + (f"{path}.{leaf}" if path else leaf)
                found.append(self.names.get(name, own))
        return found


def head_layers(names: Tensors, activation: str) -> HeadLayers | None:
    """Head that these tensors describe, or None.

    activation: between the linear layers; "" assumes ReLU. Raises `CamxError` if a module without weights may be an
    activation or a dropout.
    """
    stem = _common(names)
    leaves: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in names.items():
        path, _, leaf = name.removeprefix(stem).rpartition(".")
        leaves.setdefault(path, {})[leaf] = tensor
        if len(leaves) > _MOST_LAYERS:
            return None
    read = {path: _layer(tensors) for path, tensors in leaves.items()}
    paths = sorted(leaves, key=_natural)
    modules = {path: layer for path in paths if (layer := read[path]) is not None}
    linear = {path: layer for path, layer in modules.items() if isinstance(layer, nn.Linear)}
    chained = all(one.out_features == other.in_features for one, other in pairwise(linear.values()))
    complete = len(modules) == len(paths) and 0 < len(linear) <= _MOST_LINEAR and paths[-1] in linear
    if not complete or not chained:
        return None
    if len(linear) == 1 and not _ordinary(stem, names) and "bias" not in leaves[paths[-1]]:
        return None
    fastai = _as_fastai_numbers(paths, modules)
    layers, guessed = _fastai_layers(modules) if fastai else _layers(modules, stem, activation)
    first, last = next(iter(linear.values())), linear[paths[-1]]
    return HeadLayers(layers, names, stem, first.in_features, last.out_features, guessed, fastai)


def _as_fastai_numbers(paths: list[str], modules: Mapping[str, nn.Module]) -> bool:
    """Whether these are the layers of fastai's `create_head`: pooling, flatten, then norm, dropout, linear and ReLU per
    stage, numbered from 0 in one sequence. A single stage may also be norm, ReLU, linear."""
    numbered = [str(number) for number in range(2, 2 + 2 * len(paths), 2)]
    kinds = [nn.BatchNorm1d, nn.Linear] * (len(paths) // 2)
    return len(paths) >= 4 and paths == numbered and [type(modules[path]) for path in paths] == kinds


def _fastai_layers(modules: Mapping[str, nn.Module]) -> tuple[OrderedDict[str, nn.Module], bool]:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for path, layer in modules.items():
        if layers and isinstance(layer, nn.BatchNorm1d):
            layers[f"activation{len(layers)}"] = nn.ReLU()
        layers[path] = layer
    return layers, False


def _layers(modules: Mapping[str, nn.Module], stem: str, activation: str) -> tuple[OrderedDict[str, nn.Module], bool]:
    """Layers with the activations between them, and whether an activation is assumed."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    guessed = False
    for before, (path, layer) in zip([None, *modules], modules.items()):
        gap = 0 if before is None else _gap(before, path)
        if gap != 0 and before is not None and not isinstance(modules[before], nn.PReLU):
            certain = isinstance(layer, nn.Linear) and any(isinstance(one, nn.Linear) for one in layers.values())
            # An activation follows the norm of a hidden layer, or stands between two linear layers.
            if not certain and not activation and not isinstance(layer, nn.PReLU):
                raise CamxError(
                    f"The head {stem.rstrip('.')!r} of the checkpoint has a module without weights between "
                    f"{before!r} and {path!r}, and its tensors do not show which one.",
                    "Give `model_arg` head_activation=relu, or head_activation=identity if it is a dropout.",
                )
            if not isinstance(layer, nn.PReLU):
                layers[f"activation{len(layers)}"] = ACTIVATIONS[activation or "relu"]()
                guessed = guessed or not activation
        layers[path] = layer
    return layers, guessed


def _layer(tensors: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """Linear layer, norm or PReLU with exactly these tensors, or None."""
    weight = tensors.get("weight")
    if weight is None or set(tensors) - {"weight"} - _REST or not weight.is_floating_point():
        return None
    extra = set(tensors) - {"weight"}
    if weight.dim() == 2 and extra <= {"bias"} and weight.numel():
        if "bias" in tensors and tuple(tensors["bias"].shape) != (weight.shape[0],):
            return None
        return nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in tensors)
    if weight.dim() == 1 and {"running_mean", "running_var", "bias"} <= extra:
        return nn.BatchNorm1d(weight.shape[0])
    if weight.dim() == 1 and extra == {"bias"}:
        return nn.LayerNorm(weight.shape[0])
    return nn.PReLU(weight.shape[0]) if weight.dim() == 1 and not extra else None


def _gap(before: str, after: str) -> int | None:
    """Number of modules without tensors between two of a Sequential; None if the names are no positions."""
    stem, _, index = before.rpartition(".")
    other, _, following = after.rpartition(".")
    if stem != other or not (_is_number(index) and _is_number(following)):
        return None
    return int(following) - int(index) - 1


def _common(names: Mapping[str, torch.Tensor]) -> str:
    """Longest common prefix of all names, up to a dot."""
    paths = [name.split(".")[:-1] for name in names]
    shared = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths))]
    return "".join(f"{part}." for part in shared)


def _ordinary(stem: str, names: Mapping[str, torch.Tensor]) -> bool:
    """Whether a single layer has a usual name of a classifier."""
    path = (stem or next(iter(names))).rstrip(".").split(".")
    return any(part in _ORDINARY for part in path)


def _natural(path: str) -> tuple[tuple[float, str], ...]:
    return tuple((int(part), "") if _is_number(part) else (math.inf, part) for part in path.split("."))


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) < 9
