"""The target layers of a detector: the levels of its pyramid of feature maps, found by the outputs of its modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...errors import CamxError, nearest
from ...models.hooks import TargetLayer, hooked
from ...models.layouts import Layout, Path, tensors_in
from ...sentences import counted
from ..tracing.first_forward import running
from ..tracing.network_state import undisturbed
from ..tracing.scored_network import ScoredNetwork
from ..tracing.scores import network_name
from ..tracing.trace import traces
from .placement import FEWEST, Placement, placement_of, quarter_pictures

AUTO = "auto"
_PYRAMID = "the last dictionary of maps that a module returns: the pyramid of the detector"
_SINGLE = "the last map of the outermost modules"


@dataclass(frozen=True)
class _ModuleMaps:
    """Maps in the output of a module, by their places. named: whether the output is a dictionary of them."""

    maps: Mapping[Path, Layout]
    named: bool


def choose_levels(module: ScoredNetwork, picture: Tensor, wanted: str = AUTO) -> tuple[TargetLayer, ...]:
    """Returns the levels from which a detector reads its boxes: found, or those of the module `wanted`.

    picture: 1×C×H×W, normalised. Levels that do not pass the placement check are left out. Raises `CamxError` for an
    unknown name, and if no level is left.
    """
    maps_of = _maps_of_modules(module, picture)
    name, reason = _automatic(module, maps_of) if wanted == AUTO else (_named(wanted, maps_of), "named by the user")
    layers = [TargetLayer(name, layout, path, reason=reason) for path, layout in maps_of[name].maps.items()]
    placements = _placements(module, picture, name)
    fitting = [layer for layer in layers if placements[layer.path].fits]
    if not fitting:
        raise CamxError(
            f"The maps of {name!r} cannot be the target: {placements[layers[0].path].reason}.",
            "Name another module with `layers`.",
            field="layers",
        )
    _check_gradient(module, picture, fitting)
    proven = sum(placements[layer.path].proven for layer in fitting)
    place = f"; the place of {proven} of {counted(len(fitting), 'level')} is proven"
    return tuple(replace(layer, reason=layer.reason + place) for layer in fitting)


def _maps_of_modules(module: ScoredNetwork, picture: Tensor) -> dict[str, _ModuleMaps]:
    """Returns the maps in the first output of each module, in the order in which modules end."""
    found: dict[str, _ModuleMaps] = {}

    def record(name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        maps = {path: _layout(one) for path, one in tensors_in(output) if _is_map(one)} if call == 0 else {}
        if name and maps:
            found[name] = _ModuleMaps(maps, isinstance(output, Mapping))

    with undisturbed(module), torch.no_grad(), hooked(dict(module.named_modules()), record), running(module, picture):
        module(picture)
    return found


def _automatic(module: ScoredNetwork, maps_of: Mapping[str, _ModuleMaps]) -> tuple[str, str]:
    pyramids = [name for name, one in maps_of.items() if one.named]
    if pyramids:
        return pyramids[-1], _PYRAMID
    if not maps_of:
        raise CamxError(f"No module of {network_name(module)} returns a feature map.", "Use `methods=rise`.")
    depth = min(name.count(".") for name in maps_of)
    return [name for name in maps_of if name.count(".") == depth][-1], _SINGLE


def _named(wanted: str, maps_of: Mapping[str, _ModuleMaps]) -> str:
    if wanted not in maps_of:
        raise CamxError(
            f"The layer {wanted!r} returns no feature maps.{nearest(wanted, maps_of)}",
            "Name a module of the detector that returns some.",
            field="layers",
        )
    return wanted


def _placements(module: ScoredNetwork, picture: Tensor, name: str) -> dict[Path, Placement]:
    """Returns the placement of every map of a module, from one forward per changed image."""
    kept: dict[Path, list[Tensor]] = {}

    def record(_name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        for path, one in tensors_in(output) if call == 0 else ():
            kept.setdefault(path, []).append(one.float())

    with undisturbed(module), torch.no_grad():
        for one in quarter_pictures(picture)[:, None]:
            with hooked({name: module.get_submodule(name)}, record):
                module(one)
    return {path: _placement(torch.cat(maps)) for path, maps in kept.items() if _is_map(maps[0])}


def _placement(maps: Tensor) -> Placement:
    """Returns the placement of maps 5×C×h×w; with few positions it is neither wrong nor proven."""
    placement = placement_of(maps)
    return replace(placement, few=True) if placement.positions < FEWEST else placement


def _check_gradient(module: ScoredNetwork, picture: Tensor, layers: list[TargetLayer]) -> None:
    """Raises `CamxError` if no score of a box, of all that the detector can return, depends on a level."""
    (first, *_) = traces(module, picture, layers)
    gradients = torch.autograd.grad(first.head.scores.sum(), first.head.leaves, materialize_grads=True)
    if not any(bool(one.any()) for one in gradients):
        raise CamxError(f"No score of a box of {network_name(module)} depends on {layers[0].name!r}.", field="layers")


def _is_map(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() == 4 and len(tensor) == 1 and min(tensor.shape[2:]) > 1


def _layout(tensor: Tensor) -> Layout:
    return Layout("NCHW", tensor.shape[2], tensor.shape[3], tensor.shape[1])
