"""The target layers of a detector: levels of its pyramid of feature maps, found by what modules return."""

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
_PYRAMID = "the last maps by name that a module returns: the pyramid of the detector"
_SINGLE = "the last map of the outermost modules"


@dataclass(frozen=True)
class _Returned:
    """Maps in the output of a module: their places and shapes. named: whether the output is a dictionary of them."""

    maps: Mapping[Path, Layout]
    named: bool


def choose_levels(module: ScoredNetwork, picture: Tensor, wanted: str = AUTO) -> tuple[TargetLayer, ...]:
    """Returns the levels that the boxes of a detector are read from: found, or those of the module that is named.

    image: 1×C×H×W, normalised. Levels on which the place of a change in the image is not where it should be are left
    out. Raises `CamxError` for an unknown name, and where no level is left.
    """
    returned = _returned(module, picture)
    name, reason = _automatic(module, returned) if wanted == AUTO else (_named(wanted, returned), "named by the user")
    layers = [TargetLayer(name, layout, path, reason=reason) for path, layout in returned[name].maps.items()]
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
    said = f"; the place of {proven} of {counted(len(fitting), 'level')} is proven"
    return tuple(replace(layer, reason=layer.reason + said) for layer in fitting)


def _returned(module: ScoredNetwork, picture: Tensor) -> dict[str, _Returned]:
    """The maps that modules return for one image, in the order in which they end; of several calls the first."""
    found: dict[str, _Returned] = {}

    def seen(name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        maps = {path: _layout(one) for path, one in tensors_in(output) if _is_map(one)} if call == 0 else {}
        if name and maps:
            found[name] = _Returned(maps, isinstance(output, Mapping))

    with undisturbed(module), torch.no_grad(), hooked(dict(module.named_modules()), seen), running(module, picture):
        module(picture)
    return found


def _automatic(module: ScoredNetwork, returned: Mapping[str, _Returned]) -> tuple[str, str]:
    pyramids = [name for name, one in returned.items() if one.named]
    if pyramids:
        return pyramids[-1], _PYRAMID
    if not returned:
        raise CamxError(f"No module of {network_name(module)} returns a feature map.", "Use `methods=rise`.")
    depth = min(name.count(".") for name in returned)
    return [name for name in returned if name.count(".") == depth][-1], _SINGLE


def _named(wanted: str, returned: Mapping[str, _Returned]) -> str:
    if wanted not in returned:
        raise CamxError(
            f"The layer {wanted!r} returns no feature maps.{nearest(wanted, returned)}",
            "Name a module of the detector that returns some.",
            field="layers",
        )
    return wanted


def _placements(module: ScoredNetwork, picture: Tensor, name: str) -> dict[Path, Placement]:
    """The placement check of every map of a module, from one forward per changed image."""
    kept: dict[Path, list[Tensor]] = {}

    def seen(_name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        for path, one in tensors_in(output) if call == 0 else ():
            kept.setdefault(path, []).append(one.float())

    with undisturbed(module), torch.no_grad():
        for one in quarter_pictures(picture)[:, None]:
            with hooked({name: module.get_submodule(name)}, seen):
                module(one)
    return {path: _placed(torch.cat(maps)) for path, maps in kept.items() if _is_map(maps[0])}


def _placed(maps: Tensor) -> Placement:
    """Of a map with few positions chance decides: it neither fits badly nor is it proven."""
    placement = placement_of(maps)
    return replace(placement, few=True) if placement.positions < FEWEST else placement


def _check_gradient(module: ScoredNetwork, picture: Tensor, layers: list[TargetLayer]) -> None:
    """Raises `CamxError` where the scores of no box, of all that the detector could return, depend on a level."""
    (first, *_) = traces(module, picture, layers)
    gradients = torch.autograd.grad(first.head.scores.sum(), first.head.leaves, materialize_grads=True)
    if not any(bool(one.any()) for one in gradients):
        raise CamxError(f"No score of a box of {network_name(module)} depends on {layers[0].name!r}.", field="layers")


def _is_map(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() == 4 and len(tensor) == 1 and min(tensor.shape[2:]) > 1


def _layout(tensor: Tensor) -> Layout:
    return Layout("NCHW", tensor.shape[2], tensor.shape[3], tensor.shape[1])
