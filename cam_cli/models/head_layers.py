"""The layers of a head, read from names and shapes of its tensors: linear ones, norms, and activations between them."""

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
#: Names of layers that make scores. A matrix without a bias under another name may be a margin or a prototype.
_ORDINARY = ("fc", "head", "heads", "classifier", "linear", "lin", "logits", "last_linear", "output", "out", "top")
_REST = {"bias", "running_mean", "running_var", "num_batches_tracked"}
#: Layers with tensors that a head has at most, and linear ones among them.
_MOST_LAYERS, _MOST_LINEAR = 8, 3


@dataclass(frozen=True)
class HeadLayers:
    """A head, layer by layer: module path → module.

    stem: what the names of all its tensors begin with. features, classes: values that it takes and gives. guessed:
    whether an activation is taken for granted. fastai: whether its layers stand as fastai makes them.
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
        """The head in a sentence."""
        return self.stem.rstrip(".") or "its last tensors"

    def module(self) -> nn.Module:
        if len(self.layers) == 1:
            return next(iter(self.layers.values()))
        return nn.Sequential(OrderedDict((name.replace(".", "_"), one) for name, one in self.layers.items()))

    def tensors(self) -> list[torch.Tensor]:
        """Its tensors in the order of the `state_dict()` of its module."""
        found = []
        for path, layer in self.layers.items():
            for leaf, own in layer.state_dict().items():
                name = self.stem + (f"{path}.{leaf}" if path else leaf)
                found.append(self.names.get(name, own))
        return found


def head_layers(names: Tensors, activation: str) -> HeadLayers | None:
    """The head that these tensors describe; None where they describe none.

    activation: between the linear layers; "" takes ReLU. Raises `CamxError` where a module without weights may be one
    thing or another.
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
    """Whether these are the layers of fastai's `create_head`: pooling, flatten, then norm, dropout, linear and ReLU of
    each stage, counted from 0 in one sequence. One stage alone may as well be norm, ReLU, linear."""
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
    """The layers with the activations between them, and whether one of these is taken for granted."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    guessed = False
    for before, (path, layer) in zip([None, *modules], modules.items()):
        gap = 0 if before is None else _gap(before, path)
        if gap != 0 and before is not None and not isinstance(modules[before], nn.PReLU):
            certain = isinstance(layer, nn.Linear) and any(isinstance(one, nn.Linear) for one in layers.values())
            # Behind the norm of a hidden layer, or between two linear ones, stands an activation.
            if not certain and not activation and not isinstance(layer, nn.PReLU):
                raise CamxError(
                    f"The head {stem.rstrip('.')!r} of the checkpoint has a module without weights between "
                    f"{before!r} and {path!r}, and its tensors do not say which.",
                    "Give `model_arg` head_activation=relu, or head_activation=identity where it is a dropout.",
                )
            if not isinstance(layer, nn.PReLU):
                layers[f"activation{len(layers)}"] = ACTIVATIONS[activation or "relu"]()
                guessed = guessed or not activation
        layers[path] = layer
    return layers, guessed


def _layer(tensors: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """The layer that has exactly these tensors; None for any other than a linear one, a norm or a PReLU."""
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
    """Modules without tensors between two of a Sequential; None where the names are no positions."""
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
    """Whether a single layer is called as layers are that make scores."""
    path = (stem or next(iter(names))).rstrip(".").split(".")
    return any(part in _ORDINARY for part in path)


def _natural(path: str) -> tuple[tuple[float, str], ...]:
    return tuple((int(part), "") if _is_number(part) else (math.inf, part) for part in path.split("."))


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) < 9
