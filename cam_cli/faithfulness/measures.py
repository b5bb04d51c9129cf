"""Table of the metrics of faithfulness: functions of a batch that return scores and curves of all its maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..evaluation.faithful_scores import BASELINES, METRICS
from .batch import MeasuredBatch
from .cells import blurred, enlarged, exchanged, generator, heat, mean_colour
from .correlation import pearson, spearman
from .imputation import NOISE, imputed
from .randomised import STAGES

#: Shares of the cells that ROAD removes.
ROAD_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
#: Half the width of the noise of `sensitivity`, for pixels in [0, 1].
RADIUS = 0.02


class MeasuredScores(NamedTuple):
    """Scores B×M and curves B×M×points by name, in main memory; NaN if undefined."""

    scores: dict[str, Tensor]
    curves: dict[str, Tensor]


class Cost(NamedTuple):
    """Cost of a metric for one image with M maps: forwards, and explanations by all methods."""

    forwards: int
    explanations: int


@dataclass(frozen=True)
class Measure:
    """A metric. run: measures a batch. cost: of (maps, steps, draws), per image. change: creates one changed image from
    1×C×H×W, if that takes longer than its forward."""

    run: Callable[[MeasuredBatch], MeasuredScores]
    cost: Callable[[int, int, int], Cost]
    change: Callable[[Tensor], Tensor] | None = None


def curve(batch: MeasuredBatch, fill: Tensor, *, insert: bool) -> Tensor:
    """Probabilities B×M×(steps + 1) while cells are removed or inserted, hottest first; ends are computed once per
    image."""
    count, steps, cells = batch.count, batch.steps, batch.cells
    pictures = len(batch.inputs)
    numbers = torch.arange(pictures * count * (steps - 1), device=batch.inputs.device)
    owner, place, step = numbers // (count * (steps - 1)), numbers // (steps - 1), numbers % (steps - 1) + 1
    ranks = batch.ranks.flatten(0, 1)

    def gone(part: slice) -> Tensor:
        limit = (step[part] * cells / steps).round().long()[:, None, None]
        hottest = ranks[place[part]] < limit
        return ~hottest if insert else hottest

    inner = batch.probabilities(owner, exchanged(batch.inputs, fill, gone, owner)).view(pictures, count, steps - 1)
    every = torch.arange(pictures, device=batch.inputs.device)
    empty = batch.probabilities(every, lambda part: fill[part])
    ends = [one[:, None, None].expand(-1, count, 1) for one in (batch.base.cpu(), empty)]
    first, last = ends[::-1] if insert else ends
    return torch.cat([first, inner, last], dim=2)


def area(curves: Tensor) -> Tensor:
    """Area under curves …×points over [0, 1], by trapezoids."""
    return torch.trapezoid(curves, dim=-1) / (curves.shape[-1] - 1)


def _curve_metric(name: str, fill: Callable[[Tensor], Tensor], batch: MeasuredBatch, *, insert: bool) -> MeasuredScores:
    found = curve(batch, fill(batch.inputs), insert=insert)
    return MeasuredScores({name: area(found)}, {name: found})


def road(batch: MeasuredBatch) -> MeasuredScores:
    """Remove and debias (Rong et al. 2022) of whole cells: (LeRF − MoRF) / 2. Each is the mean probability over shares
    of imputed cells, the least (LeRF) or most (MoRF) relevant ones."""
    shares, count = len(ROAD_SHARES), batch.count
    pictures, device = len(batch.inputs), batch.inputs.device
    numbers = torch.arange(pictures * count * 2 * shares, device=device)
    owner, place = numbers // (count * 2 * shares), numbers // (2 * shares)
    limits = torch.tensor([round(share * batch.cells) for share in ROAD_SHARES], device=device)
    limit, coldest = limits[numbers % shares], numbers // shares % 2 == 1
    ranks = batch.ranks.flatten(0, 1)
    noise = torch.stack(
        [torch.randn(batch.inputs.shape[1:], generator=generator(key, batch.seed, -2)) for key in batch.keys]
    ).to(device)

    def make(part: slice) -> Tensor:
        own, rank = owner[part], ranks[place[part]]
        counted = torch.where(coldest[part][:, None, None], batch.cells - 1 - rank, rank)
        gone = enlarged(counted < limit[part][:, None, None], batch.inputs.shape[2:])
        return imputed(batch.inputs[own], gone, NOISE * noise[own])

    found = batch.probabilities(owner, make).view(pictures, count, 2, shares)
    most, least = found.unbind(2)
    return MeasuredScores({"road": (least.mean(2) - most.mean(2)) / 2}, {"road_most": most, "road_least": least})


def _half_imputed(picture: Tensor) -> Tensor:
    """The image with its middle half imputed: about the mean work of ROAD."""
    height, width = picture.shape[2:]
    gone = torch.zeros_like(picture[:, :1], dtype=torch.bool)
    gone[..., height // 7 : height - height // 7, width // 7 : width - width // 7] = True
    return imputed(picture, gone)


def adcc(batch: MeasuredBatch) -> MeasuredScores:
    """Average drop and increase (Chattopadhay et al. 2018) on the image multiplied with the map (the rest fades to the
    mean colour), coherency, complexity, and their harmonic mean (Poppi et al. 2021)."""
    pictures, count = len(batch.inputs), batch.count
    shown = heat(batch.maps)
    owner = torch.arange(pictures * count, device=batch.inputs.device) // count

    def kept(part: slice) -> Tensor:
        large = interpolate(
            shown.flatten(0, 1)[part][:, None], batch.inputs.shape[2:], mode="bilinear", align_corners=False
        )
        return batch.inputs[owner[part]] * large

    after = batch.probabilities(owner, kept).view(pictures, count)
    own = range(0, pictures * count, count)
    again = torch.cat(
        [
            batch.explain(torch.cat([kept(slice(first + number, first + number + 1)) for first in own]), 1, [number])
            for number in batch.every
        ],
        dim=1,
    )
    alike = pearson(heat(again).flatten(0, 1), shown.flatten(0, 1)).view(pictures, count).float().cpu()
    return adcc_scores(batch.base.cpu()[:, None].expand_as(after), after, alike, shown.mean((2, 3)).cpu())


def adcc_scores(before: Tensor, after: Tensor, alike: Tensor, complexity: Tensor) -> MeasuredScores:
    """Scores from the probabilities of an image and its masked copy, the correlation of both maps, and the mean of the
    map."""
    drop = (before - after).clamp_min(0) / before.clamp_min(1e-12)
    coherency = (alike.nan_to_num(0.0) + 1) / 2
    parts = torch.stack([coherency, 1 - complexity, 1 - drop])
    mean = torch.where((parts > 0).all(0), 3 / parts.clamp_min(1e-12).reciprocal().sum(0), 0.0)
    scores = {"drop": drop, "increase": (after > before).float(), "coherency": coherency}
    return MeasuredScores({**scores, "complexity": complexity, "adcc": mean}, {})


def sensitivity(batch: MeasuredBatch) -> MeasuredScores:
    """Sensitivity-max (Yeh et al. 2019): largest relative change of the map over noisy copies of the image."""
    changed = []
    for draw in range(batch.draws):
        noise = torch.stack(
            [
                torch.rand(batch.inputs.shape[1:], generator=generator(key, batch.seed, 1000 + draw))
                for key in batch.keys
            ]
        ).to(batch.inputs.device)
        noisy = batch.inputs + (2 * noise - 1) * RADIUS * batch.pixel
        changed.append(batch.explain(noisy, 1000 + draw, batch.every))
    return MeasuredScores({"sensitivity": sensitivity_max(heat(batch.maps), heat(torch.stack(changed))).cpu()}, {})


def sensitivity_max(maps: Tensor, changed: Tensor) -> Tensor:
    """Largest ‖map of a changed image − map‖ / ‖map‖ over draws: …×h×w and draws×…×h×w → …; NaN for a zero map."""
    size = maps.square().sum((-2, -1)).sqrt()
    distance = (changed - maps).square().sum((-2, -1)).sqrt().amax(0)
    return torch.where(size > 0, distance / size.clamp_min(1e-38), torch.nan)


def sanity(batch: MeasuredBatch) -> MeasuredScores:
    """Rank correlation of each map with those of networks with weights permuted from the head downwards."""
    curves = []
    for number, explain in enumerate(batch.permuted):
        other = explain(batch.inputs, 2000 + number, batch.every)
        curves.append(spearman(other.flatten(0, 1), batch.maps.flatten(0, 1)).view(batch.maps.shape[:2]))
    found = torch.stack(curves, dim=2).float().cpu()
    return MeasuredScores({"sanity_head": found[..., 0], "sanity_all": found[..., -1]}, {"sanity": found})


def _curve_cost(maps: int, steps: int, draws: int) -> Cost:
    return Cost(maps * (steps - 1) + 1, 0)


def _adcc_cost(maps: int, steps: int, draws: int) -> Cost:
    """Each method explains the image masked by its own map, with a forward of its own beyond the first."""
    methods = maps - len(BASELINES)
    return Cost(maps + methods - 1, 1)


MEASURES: Mapping[str, Measure] = {
    "deletion": Measure(partial(_curve_metric, "deletion", blurred, insert=False), _curve_cost),
    "insertion": Measure(partial(_curve_metric, "insertion", blurred, insert=True), _curve_cost),
    "deletion-mean": Measure(partial(_curve_metric, "deletion_mean", mean_colour, insert=False), _curve_cost),
    "insertion-mean": Measure(partial(_curve_metric, "insertion_mean", mean_colour, insert=True), _curve_cost),
    "adcc": Measure(adcc, _adcc_cost),
    "road": Measure(road, lambda maps, steps, draws: Cost(2 * maps * len(ROAD_SHARES), 0), _half_imputed),
    "sensitivity": Measure(sensitivity, lambda maps, steps, draws: Cost(0, draws)),
    "sanity": Measure(sanity, lambda maps, steps, draws: Cost(0, len(STAGES))),
}
assert MEASURES.keys() == METRICS.keys()
