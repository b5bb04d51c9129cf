"""Finds the layer of the feature maps, and runs forwards that end there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..cams.target_layer.choose import AUTO
from ..errors import CamxError, nearest
from ..models.hooks import TargetLayer, hooked
from ..models.layouts import Layout, Path, possible_layouts, tensors_in


class _Enough(Exception):
    """Raised to end a forward at the layer."""


def find_map_layer(module: nn.Module, inputs: Tensor, wanted: str = AUTO) -> TargetLayer:
    """Returns the layer `wanted`, or for `auto` the first convolution that runs in a forward of B×C×H×W `inputs`.

    Raises `CamxError` if the layer does not exist, does not run, or gives no map.
    """
    modules, reason = observed_modules(module, wanted), "named by the user"
    if wanted == AUTO:
        reason = "the first convolution that runs"
    size, prefixes = (inputs.shape[2], inputs.shape[3]), prefix_counts(module)
    found: list[TargetLayer] = []

    def record(name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        place = as_map(output, len(inputs), size, prefixes)
        if place is not None:
            found.append(TargetLayer(name, place[1], place[0], call, reason))
            raise _Enough

    with torch.no_grad(), contextlib.suppress(_Enough), hooked(modules, record):
        module(inputs)
    if not found:
        raise no_map(module, wanted)
    return found[0]


def maps_at(module: nn.Module, inputs: Tensor, layer: TargetLayer) -> Tensor:
    """Returns the feature maps of a batch at `layer`, B×C×h×w float32. Later layers do not run."""
    found: list[Tensor] = []

    def record(_name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        if call == layer.call:
            found.append(layer.layout.to_nchw(dict(tensors_in(output))[layer.path]).float())
            raise _Enough

    with torch.no_grad(), contextlib.suppress(_Enough), hooked({layer.name: module.get_submodule(layer.name)}, record):
        module(inputs)
    return found[0]


def observed_modules(module: nn.Module, wanted: str) -> Mapping[str, nn.Module]:
    """Returns the modules to observe for `wanted`: all convolutions for `auto`, else the named one.

    Raises `CamxError` for an unknown name.
    """
    modules = dict(module.named_modules())
    if wanted == AUTO:
        return {name: one for name, one in modules.items() if isinstance(one, nn.Conv2d)}
    if wanted not in modules:
        listed = nearest(wanted, modules) or f" The first ones are {', '.join([n for n in modules if n][:3])}."
        raise CamxError(f"The network has no layer {wanted!r}.{listed} `camx layers MODEL` lists them.")
    return {wanted: modules[wanted]}


def as_map(output: Any, batch: int, input_size: tuple[int, int], prefixes: Sequence[int]) -> tuple[Path, Layout] | None:
    """Returns the feature map in a module's output, and its layout; None if there is none."""
    for path, tensor in tensors_in(output):
        if tensor.is_floating_point():
            layouts = possible_layouts(tensor.shape, batch, input_size, prefixes)
            if layouts:
                return path, layouts[0]
    return None


def prefix_counts(module: nn.Module) -> list[int]:
    """Possible numbers of prefix tokens, the network's own number first."""
    return list(dict.fromkeys([int(getattr(module, "num_prefix_tokens", 0) or 0), 0, 1, 2, 5]))


def no_map(module: nn.Module, wanted: str) -> CamxError:
    """Returns the error of a forward without a feature map at the wanted layer."""
    kind = type(module).__name__
    if wanted == AUTO:
        return CamxError(
            f"{kind} runs no convolution that gives a map. Name a layer with `layer` (`camx layers MODEL`)."
        )
    return CamxError(
        f"The layer {wanted!r} of {kind} gives no map with several positions in a forward. "
        "Name another one with `layer` (`camx layers MODEL`)."
    )
