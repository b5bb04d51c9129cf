"""The choice of the target layer: found by a probe without a table of families, or checked if named.

The target is the last image-shaped output that every path from the image to the score crosses (a dominator of the
autograd graph) and that the gradient reaches at nearly all positions. If the normalisation that reads it has a dense
gradient too, this normalisation is the target: `blocks.-1.norm1` of transformers with a class token, since after the
last block only the class token has a gradient. Every choice, also a named one, must pass the placement check.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...errors import CamxError, nearest
from ...models.hooks import TargetLayer
from ...models.layouts import Path
from ...models.tasks import CLASSIFICATION, DETECTION
from ..tracing.scored_network import ScoredNetwork, scored_network, task_of
from ..tracing.scores import Wanted, network_name
from .candidates import Candidate, Output
from .probe import NoGradient, Probe, probe, probe_picture
from .pyramid import choose_levels
from .ranking import is_bare_pooling, measure_all, other_branches, partly_alive, rank_candidates
from .trial import Trial, try_layer

AUTO = "auto"
#: The place of a layer: the name of its module, the path in its output, and the number of the call.
_Place = tuple[str, Path, int]
#: The most candidates that are tried.
_TRIALS = 8
_WITHOUT = "`methods=rise`, saliency, smoothgrad and integrated-gradients read no layer."
_TRANSPARENT = re.compile(r"identity|drop|stochasticdepth|flatten", re.IGNORECASE)


@dataclass(frozen=True)
class LayerReport:
    """A module whose output could be a feature map, and whether it can be the target: one line of `camx layers`.

    grid: (h, w). gradient: the share of positions, in [0, 1], that the gradient of the scores reaches. reason: why it
    was chosen, or cannot be the target.
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
def choose_layer(
    module: nn.Module,
    input_size: tuple[int, int],
    channels: int = 3,
    wanted: str = AUTO,
    scores: Wanted = None,
    task: str = CLASSIFICATION,
) -> TargetLayer:
    """Returns the target layer of a network for images of `input_size` (h, w): found by a probe, or checked if named.

    scores: which output of the network holds the class scores, if it returns several. task: see `scored_network`.
    Raises `CamxError` with the candidates if `wanted` is unknown or cannot work, and if there is no such layer.
    """
    picture = probe_picture(channels, input_size).to(device_of(module))
    module = scored_network(module, picture, scores, task)
    if wanted == AUTO:
        return _automatic(module, picture)
    return _named(module, picture, wanted)


@torch.inference_mode(False)
def list_layers(
    module: nn.Module,
    input_size: tuple[int, int],
    channels: int = 3,
    scores: Wanted = None,
    task: str = CLASSIFICATION,
) -> list[LayerReport]:
    """Returns every module whose output could be a feature map, in order of execution, with the automatic choice.

    The choice is one layer, or all levels of the pyramid of a detector. Parameters are those of `choose_layer`.
    """
    picture = probe_picture(channels, input_size).to(device_of(module))
    module = scored_network(module, picture, scores, task)
    found = probe(module, picture)
    measure_all(found)
    layers: tuple[TargetLayer, ...] = ()
    # Without a choice, the reports say why.
    with contextlib.suppress(CamxError):
        if task_of(module) == DETECTION and isinstance(module, ScoredNetwork):
            layers = choose_levels(module, picture)
        else:
            layers = (_automatic(module, picture, found),)
    chosen = {(one.name, one.path, one.call): one for one in layers}
    return [_report(found, candidate, output, chosen) for candidate in found.candidates for output in candidate.outputs]


def device_of(module: nn.Module) -> torch.device:
    """Returns the device of a network's parameters; the CPU for one without."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _automatic(module: nn.Module, picture: Tensor, found: Probe | None = None) -> TargetLayer:
    found = found or probe(module, picture)
    problems: dict[str, str] = {}
    tried: set[int] = set()
    for candidate, reason in rank_candidates(found, module):
        if candidate.node in tried:
            continue
        tried.add(candidate.node)
        if found.shrunk:
            reason += f"; later ones have a single position at {picture.shape[2]}×{picture.shape[3]} pixels"
        layer = _as_target(found, candidate, reason)
        if not candidate.dominator and (name := found.runs_beside(candidate, module)):
            raise CamxError(
                f"{network_name(module)} runs {name!r} {found.calls[name]} times in one forward, side by side (on "
                "views or crops of the image), so no single map holds everything on which its scores depend.",
                f"Give {name.partition('.')[0]!r} with its head as a network of its own, which runs it once.",
            )
        trial = _try_candidate(module, picture, layer, candidate, found)
        inner = _as_target(found, candidate, reason, outermost=False)
        if trial.problem and inner != layer:
            # A module may return the map together with a later tensor, which alone leads to the scores.
            trial = _try_candidate(module, picture, inner, candidate, found)
        if not trial.problem:
            beside = [] if candidate.dominator else other_branches(found, module, candidate)
            return replace(trial.layer, beside=tuple(_as_target(found, one, "").name for one in beside))
        problems[layer.name] = trial.problem
        if len(problems) == _TRIALS:
            break
    raise _no_layer(module, picture, found, problems)


def _try_candidate(module: nn.Module, picture: Tensor, layer: TargetLayer, candidate: Candidate, found: Probe) -> Trial:
    return try_layer(module, picture, layer, [*candidate.layouts, *candidate.others], indirect=found.indirect)


def _no_layer(module: nn.Module, picture: Tensor, found: Probe, problems: Mapping[str, str]) -> CamxError:
    """Returns the error of a network without a target layer, with the reason that the probe shows."""
    name, size = network_name(module), f"{picture.shape[2]}×{picture.shape[3]}"
    if problems:
        looked_at = "; ".join(f"{layer!r}: {problem}" for layer, problem in problems.items())
        return CamxError(
            f"{name} has no layer that can be the target at {size} pixels. {looked_at}.", "Name one: `layers`."
        )
    if any(isinstance(one, torch.jit.ScriptModule) for one in module.modules()):
        return CamxError(
            f"{name} is scripted, so its layers cannot be observed.",
            "Give the network as it is before torch.jit.script, or use `methods=rise`, saliency, smoothgrad or "
            "integrated-gradients, which read no layer.",
        )
    measure_all(found)
    measured = [candidate.coverage for candidate in found.candidates if candidate.coverage]
    if measured and not any(one.finite for one in measured):
        return CamxError(
            f"The maps of {name}, or the gradients of its scores, are not finite.", "Check its weights and `precision`."
        )
    if measured and not any(one.positions for one in measured):
        return NoGradient(module, "a rounding, a comparison or weights of zero behind its maps stop it")
    small = [one for one, part in module.named_modules() if one in found.single and not _is_pooling(part)]
    if small:
        return CamxError(
            f"{name} has no feature map with more than one position on which its scores depend at {size} pixels: that "
            f"of {small[-1]!r} has one.",
            f"Try a larger `image_size`. {_WITHOUT}",
        )
    if measured:
        most = max(measured, key=lambda one: one.positions)
        return CamxError(
            f"The gradient of the scores of {name} reaches no map at a third of its positions (at most "
            f"{most.positions:.0%}).",
            _WITHOUT,
        )
    return CamxError(f"No layer of {name} returns a map with several positions on which its scores depend.", _WITHOUT)


def _is_pooling(module: nn.Module) -> bool:
    return "pool" in type(module).__name__.lower()


def _named(module: nn.Module, picture: Tensor, wanted: str) -> TargetLayer:
    names = dict(module.named_modules())
    if wanted not in names or not wanted:
        listed = nearest(wanted, names) or f" The last ones are {', '.join(list(names)[-3:])}."
        raise CamxError(
            f"The network has no layer {wanted!r}.{listed} `camx layers MODEL` lists those that can be the target."
        )
    found = probe(module, picture)
    measure_all(found)
    reports = [(c, o, _report(found, c, o, {})) for c in found.candidates for o in c.outputs if o.name == wanted]
    problem = ""
    for candidate, output, report in reports:
        if report.usable and candidate.coverage:
            layer = TargetLayer(wanted, candidate.coverage.layout, output.path, output.call, "named by the user")
            trial = _try_candidate(module, picture, layer, candidate, found)
            if not trial.problem:
                return trial.layer
            problem = problem or trial.problem
    raise CamxError(
        f"The layer {wanted!r} cannot be the target: {problem or _why_not(found, wanted, reports, picture)}. "
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


def _as_target(found: Probe, candidate: Candidate, reason: str, *, outermost: bool = True) -> TargetLayer:
    """Returns the candidate as a target layer.

    Its name is that of the outermost (or innermost) module that returns this tensor alone, and that runs once.
    """
    named = [
        o for o in candidate.outputs if not _TRANSPARENT.search(type(o.module).__name__) and not is_bare_pooling(o)
    ]
    once = [o for o in named or candidate.outputs if found.calls[o.name] == 1] or named or candidate.outputs
    output = ([o for o in once if not o.path] or once)[-1 if outermost else 0]
    assert candidate.coverage is not None
    return TargetLayer(output.name, candidate.coverage.layout, output.path, output.call, reason)


def _report(found: Probe, candidate: Candidate, output: Output, chosen: Mapping[_Place, TargetLayer]) -> LayerReport:
    coverage = candidate.coverage
    assert coverage is not None
    layout = coverage.layout
    runs = found.calls[output.name]
    choice = chosen.get((output.name, output.path, output.call))
    # The probe may have no box on a level of a pyramid.
    usable = choice is not None or (runs == 1 and partly_alive(candidate))
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
        reason=choice.reason if choice else reason,
        chosen=choice is not None,
    )
