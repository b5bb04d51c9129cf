"""One map per class from several layers and two kinds of evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..tracing.trace import Trace
from .method import Concepts, Method


@dataclass(frozen=True)
class Maps:
    """The maps of one method for one batch.

    values: B×T×h×w, raw. energies: B×T×L, the root mean square of each layer's own map (with both kinds of evidence, of
    that for the class). scores: B×T×K, for concepts only: the class scores of each.
    """

    values: Tensor
    energies: Tensor
    scores: Tensor | None = None

    def cpu(self) -> Maps:
        """Returns a copy in main memory."""
        return Maps(self.values.cpu(), self.energies.cpu(), None if self.scores is None else self.scores.cpu())


def maps_of(method: Method, traces: Sequence[Trace], classes: Tensor, evidence: str = "for") -> Maps:
    """Computes the maps of a method for classes B×T, from the traces of one forward at one or several layers.

    evidence: `against` explains the negative score; `both` is ReLU(for) − ReLU(against), positive where evidence for
    the class prevails and negative where evidence against it does.
    """
    if not method.per_layer:
        traces = traces[:1]
    if method.per == "image":
        classes = classes[:, :1]
    if evidence == "both":
        positive, negative = maps_of(method, traces, classes, "for"), maps_of(method, traces, classes, "against")
        return Maps(positive.values.clamp_min(0) - negative.values.clamp_min(0), positive.energies)
    sources = [trace.against() for trace in traces] if evidence == "against" else traces
    found = [method.maps(trace, classes) for trace in sources]
    scores = found[0].scores if isinstance(found[0], Concepts) else None
    maps = [one.maps if isinstance(one, Concepts) else one for one in found]
    energies = torch.stack([one.square().mean(dim=(2, 3)).sqrt() for one in maps], dim=2)
    return Maps(fused(maps, method.join), energies, scores)


def fused(maps: Sequence[Tensor], join: str = "max") -> Tensor:
    """Joins maps B×T×h×w of several layers on the finest grid; returns the map of a single layer unchanged.

    join: `max`, the largest value at each position, or `product`, of the positive parts. Divides each map by its own
    peak first (Jiang et al. 2021, without their tanh), because layers have different units.
    """
    if len(maps) == 1:
        return maps[0]
    finest = max((one.shape[2:] for one in maps), key=lambda shape: shape[0] * shape[1])
    shares = [_divided_by_peak(one) for one in maps]
    if join == "product":
        shares = [one.clamp_min(0) for one in shares]
    large = [interpolate(one, tuple(finest), mode="bilinear", align_corners=False) for one in shares]
    return torch.stack(large).prod(dim=0) if join == "product" else torch.stack(large).amax(dim=0)


def _divided_by_peak(maps: Tensor) -> Tensor:
    """Divides maps by their peaks; a map without a positive value becomes 0."""
    peak = maps.amax(dim=(2, 3), keepdim=True)
    return torch.where(peak > 0, maps / peak.clamp_min(1e-38), 0.0)
