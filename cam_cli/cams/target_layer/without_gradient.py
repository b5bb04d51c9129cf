"""The choice of the target layer if no gradient reaches the scores: by one forward, and by the trial.

The paths from the image to the scores are unknown then. The target is the last feature map that lies where the image
is, and on which the scores depend.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...models.hooks import TargetLayer, hooked
from ...models.layouts import Layout, dequantised, quantised_like, replaced, tensors_in
from ..tracing.network_state import undisturbed
from ..tracing.scores import network_name, scores_of
from .candidates import Collector, Output
from .ranking import inside_attention, is_bare_pooling
from .trial import try_layer

_REASON = "the last feature map in the place of the image (no gradient shows the paths to the score)"
#: The most maps that are tried, from the last one on.
_TRIED = 8


@dataclass
class _Map:
    """A tensor that may be a feature map, the ways to read it, and the modules that returned it."""

    tensor: Tensor
    layouts: list[Layout]
    outputs: list[Output] = field(default_factory=list)


@torch.inference_mode(False)
def choose_without_gradient(module: nn.Module, picture: Tensor, wanted: str) -> TargetLayer:
    """Returns the target layer `wanted`, or the automatic one, of a network whose scores have no gradient.

    module: with logits as its output (`scored_network`). picture: 1×C×H×W, normalised. Raises `CamxError` with the
    tried layers if there is none.
    """
    problems: dict[str, str] = {}
    for one in _maps(module, picture, wanted):
        output = _outermost(one)
        reason = _REASON if wanted == "auto" else "named by the user"
        layer = TargetLayer(output.name, one.layouts[0], output.path, output.call, reason)
        trial = try_layer(module, picture, layer, one.layouts, gradients=False)
        problem = trial.problem or _without_effect(module, picture, layer)
        if not problem:
            return trial.layer
        problems[output.name] = problem
        if len(problems) == _TRIED:
            break
    looked_at = "; ".join(f"{name!r}: {problem}" for name, problem in problems.items())
    raise CamxError(
        f"{network_name(module)} has no layer that can be the target without a gradient. {looked_at}".rstrip(". ")
        + ".",
        "`methods=rise` needs no layer.",
    )


def _maps(module: nn.Module, picture: Tensor, wanted: str) -> Iterator[_Map]:
    """Yields the feature maps of a forward, the last one first."""
    collector = Collector(module, picture)
    found: dict[int, _Map] = {}

    def record(name: str, call: int, inputs: tuple[Any, ...], output: Any) -> None:
        collector.record_call(name, call, inputs, output)
        for path, tensor in tensors_in(output):
            if not (tensor.is_floating_point() or tensor.is_quantized):
                continue
            known = found.setdefault(id(tensor), _Map(tensor, collector.layouts(tensor.shape)))
            known.outputs.append(Output(name, modules[name], call, path))

    modules = {name: one for name, one in module.named_modules() if name}
    with undisturbed(module), torch.no_grad(), hooked(modules, record):
        scores_of(module(picture))
    attention = inside_attention(module)
    for one in reversed(found.values()):
        one.layouts = collector.credible(one.layouts)
        named = [o for o in one.outputs if wanted in ("auto", o.name)]
        if not one.layouts or not named:
            continue
        if wanted == "auto" and (all(map(is_bare_pooling, named)) or all(attention(o.name) for o in named)):
            continue
        one.outputs = named
        yield one


def _outermost(one: _Map) -> Output:
    return ([o for o in one.outputs if not o.path and not is_bare_pooling(o)] or one.outputs)[-1]


def _without_effect(module: nn.Module, picture: Tensor, layer: TargetLayer) -> str:
    """Why the scores do not depend on a layer, or ""."""

    def silence(_name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> Any:
        if call != layer.call:
            return None
        own = dict(tensors_in(output))[layer.path]
        return replaced(output, layer.path, quantised_like(own, torch.zeros_like(dequantised(own))))

    with undisturbed(module), torch.no_grad():
        before = scores_of(module(picture))
        with hooked({layer.name: module.get_submodule(layer.name)}, silence):
            after = scores_of(module(picture))
    return "" if bool((before != after).any()) else "the scores do not depend on it"
