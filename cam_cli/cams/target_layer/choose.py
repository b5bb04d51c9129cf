"""The choice of the target layer: found by a probe without a table of families, or checked if named.

The target is the last image-shaped output that every path from the picture to the score crosses (a dominator of the
autograd graph) and that the gradient reaches at nearly all positions. If the normalisation that reads it has a dense
gradient too, that one is taken: `blocks.-1.norm1` of token-pooled transformers, since after the last block only the
class token has a gradient.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import CamxError, nearest
from ...models.hooks import TargetLayer
from ..tracing.trace import trace
from .candidates import Candidate, Output
from .probe import Probe, probe, probe_picture
from .ranking import is_bare_pooling, measure_all, partly_alive, rank_candidates

AUTO = "auto"
_TRANSPARENT = re.compile(r"identity|drop|stochasticdepth|flatten", re.IGNORECASE)


@dataclass(frozen=True)
class LayerReport:
    """A module whose output could be a feature map, and whether it can be the target: one line of `camx layers`.

    gradient: the share of positions, in [0, 1], that the gradient of the scores reaches.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    layout: str
    grid: tuple[int, int]
    channels: int
    prefix_tokens: int
    gradient: float
    usable: bool
    reason: str
    chosen: bool = False


@torch.inference_mode(False)
def choose_layer(module: nn.Module, input_size: tuple[int, int], channels: int = 3, wanted: str = AUTO) -> TargetLayer:
    """Returns the target layer of a network for pictures of `input_size` (h, w): found by a probe, or checked if named.

    Raises `CamxError` with the candidates if `wanted` is unknown or cannot work, and if there is no such layer.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    picture = probe_picture(channels, input_size).to(device)
    if wanted == AUTO:
        return _automatic(module, picture)
    return _named(module, picture, wanted)


@torch.inference_mode(False)
def list_layers(module: nn.Module, input_size: tuple[int, int], channels: int = 3) -> list[LayerReport]:
    """Returns every module whose output could be a feature map, in order of execution; marks the automatic choice."""
    picture = probe_picture(channels, input_size)
    found = probe(module, picture)
    measure_all(found)
    try:
        chosen = _automatic(module, picture, found)
    except CamxError:
        chosen = None
    return [_report(found, candidate, output, chosen) for candidate in found.candidates for output in candidate.outputs]


def _automatic(module: nn.Module, picture: Tensor, found: Probe | None = None) -> TargetLayer:
    found = found or probe(module, picture)
    for candidate, reason in rank_candidates(found, module):
        if found.shrunk:
            reason += f"; later ones have a single position at {picture.shape[2]}×{picture.shape[3]} pixels"
        layer = _as_target(found, candidate, reason)
        if _works(module, picture, layer, found.indirect):
            return layer
    raise CamxError(
        f"{type(module).__name__} has no feature map with more than one position on which its scores depend at "
        f"{picture.shape[2]}×{picture.shape[3]} pixels. Try a larger `image_size`, or `layer=NAME`."
    )


def _named(module: nn.Module, picture: Tensor, wanted: str) -> TargetLayer:
    names = dict(module.named_modules())
    if wanted not in names or not wanted:
        listed = nearest(wanted, names) or f" The last ones are {', '.join(list(names)[-3:])}."
        raise CamxError(
            f"The network has no layer {wanted!r}.{listed} `camx layers MODEL` lists those that can be the target."
        )
    found = probe(module, picture)
    measure_all(found)
    reports = [(c, o, _report(found, c, o, None)) for c in found.candidates for o in c.outputs if o.name == wanted]
    for candidate, output, report in reports:
        if report.usable and candidate.coverage:
            return TargetLayer(wanted, candidate.coverage.layout, output.path, output.call, "named by the user")
    raise CamxError(
        f"The layer {wanted!r} cannot be the target: {_why_not(found, wanted, reports, picture)}. "
        "`camx layers MODEL` lists those that can."
    )


def _why_not(
    found: Probe, wanted: str, reports: Sequence[tuple[Candidate, Output, LayerReport]], picture: Tensor
) -> str:
    if wanted not in found.calls:
        return "it does not run in a forward"
    if found.calls[wanted] > 1:
        return f"it runs {found.calls[wanted]} times in one forward"
    if wanted in found.single and not reports:
        return f"its output has a single position at {picture.shape[2]}×{picture.shape[3]} pixels"
    return reports[0][2].reason if reports else "its output is not a map with several positions"


def _as_target(found: Probe, candidate: Candidate, reason: str) -> TargetLayer:
    """The candidate as a target layer, named by the outermost module that returns this tensor alone, once."""
    named = [
        o for o in candidate.outputs if not _TRANSPARENT.search(type(o.module).__name__) and not is_bare_pooling(o)
    ]
    once = [o for o in named or candidate.outputs if found.calls[o.name] == 1] or named or candidate.outputs
    output = ([o for o in once if not o.path] or once)[-1]
    assert candidate.coverage is not None
    return TargetLayer(output.name, candidate.coverage.layout, output.path, output.call, reason)


def _works(module: nn.Module, picture: Tensor, layer: TargetLayer, indirect: bool) -> bool:
    """Whether a trace there has finite features that vary, and a gradient (unless the head is zero)."""
    try:
        traced = trace(module, picture, layer)
        gradient = traced.gradients(traced.logits.argmax(1, keepdim=True))
    except (CamxError, RuntimeError):
        return False
    features = traced.features
    varied = bool((features != features.mean((2, 3), keepdim=True)).any())
    return bool(torch.isfinite(features).all()) and varied and (indirect or bool(gradient.any()))


def _report(found: Probe, candidate: Candidate, output: Output, chosen: TargetLayer | None) -> LayerReport:
    coverage = candidate.coverage
    assert coverage is not None
    layout = coverage.layout
    runs = found.calls[output.name]
    usable = runs == 1 and partly_alive(candidate)
    if runs > 1:
        reason = f"it runs {runs} times in one forward"
    elif not coverage.finite:
        reason = "its values or gradients are not finite"
    elif coverage.positions == 0:
        reason = "no gradient of the score reaches it"
    elif not usable:
        reason = f"the gradient reaches only {coverage.positions:.0%} of its positions"
    else:
        reason = "" if candidate.dominator else "usable; other branches lead to the score too"
    is_chosen = chosen is not None and (output.name, output.path, output.call) == (
        chosen.name,
        chosen.path,
        chosen.call,
    )
    return LayerReport(
        name=output.name,
        type=type(output.module).__name__,
        shape=tuple(candidate.shape),
        layout=layout.kind,
        grid=(layout.height, layout.width),
        channels=layout.channels,
        prefix_tokens=layout.prefix,
        gradient=coverage.positions,
        usable=usable,
        reason=chosen.reason if is_chosen and chosen else reason,
        chosen=is_chosen,
    )
