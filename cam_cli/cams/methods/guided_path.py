"""A map on the pixels from gradients along a path that avoids large ones: B×T×H×W of the network's input."""

from __future__ import annotations

import torch
from torch import Tensor

from ..tracing.trace import Trace
from .method import method

#: Points on the path, the share of values that move at once, and the largest distance of a value from the straight
#: path.
STEPS, FRACTION, DISTANCE = 200, 0.25, 0.02


@method(
    "guided-ig",
    summary="integrated gradients along a path that moves pixels with small gradients first",
    paper="Kapishnikov et al. 2021",
    equation="Σ_rgb ∫₀¹ ∂y_c/∂x (γ(t)) ⊙ γ′(t) dt, γ moves the values with the least |∂y_c/∂x|",
    forwards=f"{STEPS}·T",
    grid="pixels",
    reads_layer=False,
)
def guided_ig(trace: Trace, classes: Tensor) -> Tensor:
    """Σ over colours of ∫ ∂y_c/∂x along γ from black to x: small gradients come first (Kapishnikov et al. 2021).

    In each step, the quarter of the values with the least |gradient| moves towards the image, then the next quarter,
    until the whole is as near as on the straight path. No value is further than 0.02 from its place there. Every class
    has a path of its own. The map sums to y_c(x) − y_c(black).
    """
    replay, maps = trace.replay, []
    difference = replay.inputs - replay.black
    distances = difference.abs().flatten(1)
    weights = distances / distances.sum(dim=1, keepdim=True).clamp_min(1e-30)
    for done, column in enumerate(classes.unbind(1)):
        places = torch.zeros_like(weights)
        total = torch.zeros_like(weights)
        for step in range(1, STEPS + 1):
            point = replay.black + places.view_as(difference) * difference
            gradients = replay.gradients(point, column[:, None])[:, 0].flatten(1)
            moved = _moved(places, gradients, weights, step / STEPS)
            total = total + (moved - places) * gradients
            places = moved
            replay.report_step(done * STEPS + step, classes.shape[1] * STEPS)
        maps.append((total.view_as(difference) * difference).sum(dim=1))
    return trace.sign * torch.stack(maps, dim=1)


def _moved(places: Tensor, gradients: Tensor, weights: Tensor, share: float) -> Tensor:
    """Moves values so that they have come `share` of the way from black to the image, all in all.

    places: B×N, the share of its way that each value has come. weights: B×N, the share of each value in the distance of
    the image from black. In the order of |gradient|, groups of a quarter move as far as they may, and the last group as
    far as necessary.
    """
    low, high = max(share - DISTANCE, 0.0), min(share + DISTANCE, 1.0)
    places = places.clamp_min(low)
    sizes = torch.where((places < high) & (weights > 0), gradients.abs(), torch.inf)
    ordered, order = sizes.sort(dim=1, stable=True)
    gains = (weights * (high - places)).gather(1, order)
    reached = torch.nn.functional.pad(gains.cumsum(dim=1), (1, 0))
    needed = (share - (weights * places).sum(dim=1, keepdim=True)).clamp_min(0)
    active = ordered.isfinite().sum(dim=1, keepdim=True)
    ahead = int(FRACTION * (sizes.shape[1] - 1))
    start = torch.zeros_like(active)
    moves = torch.zeros_like(gains)
    ranks = torch.arange(sizes.shape[1], device=sizes.device)
    while bool((start < active).any()):
        bound = ordered.gather(1, (start + ahead).clamp_max((active - 1).clamp_min(0)))
        end = torch.minimum(torch.searchsorted(ordered, bound, right=True), active)
        before, after = reached.gather(1, start), reached.gather(1, end)
        part = ((needed - before) / (after - before).clamp_min(1e-30)).clamp(0, 1)
        moves = torch.where((ranks >= start) & (ranks < end), part, moves)
        start = torch.maximum(end, start)
    found = torch.zeros_like(moves).scatter(1, order, moves)
    return torch.where(found == 1, high, places + found * (high - places))
