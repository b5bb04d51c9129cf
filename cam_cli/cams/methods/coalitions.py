"""Maps of the superpixels of an image, from scores of images with some of them covered: B×T×H×W of the input."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from ..tracing.replay import Replay
from ..tracing.trace import Trace
from .method import method
from .perturbation import each_image
from .segmented import superpixels_of

#: The most images with covered superpixels.
SAMPLES = 1000
#: LIME: the width of its kernel, and the weight of its squared coefficients (authors' code for images).
WIDTH, RIDGE = 0.25, 1.0


@method(
    "kernel-shap",
    summary="Shapley values of superpixels",
    paper="Lundberg and Lee 2017",
    equation="φ of min Σ_S π_S·(y_c(x_S) − y_c(x_∅) − Σ_{i∈S} φ_i)² with Σφ = y_c(x) − y_c(x_∅), "
    "π_S = (M−1) / (binom(M, s)·s·(M−s)), s = #S",
    forwards=f"{SAMPLES} + 1",
    gradients=False,
    grid="pixels",
    reads_layer=False,
)
def kernel_shap(trace: Trace, classes: Tensor) -> Tensor:
    """Shapley values φ of M superpixels, by weighted least squares over sets S of them (Lundberg and Lee 2017, th. 2).

    x_S has the mean colour outside S. The sets are all of the smallest and largest sizes, as far as the samples reach,
    and random ones of the other sizes, each with its complement. With few superpixels these are all sets, and the
    values are exact. Both constraints hold exactly: the values sum to y_c(x) − y_c(x_∅).
    """
    replay = trace.replay
    labels = superpixels_of(replay, classes)

    def one(image: int) -> Tensor:
        players = int(labels[image].max()) + 1
        sets, weights = coalitions(players, SAMPLES, replay.generator())
        scores = _scores(replay, image, labels[image], torch.cat([torch.zeros(1, players), sets]))
        complete = trace.logits[image : image + 1].cpu().double()
        wanted = classes[image].cpu()
        gains, whole = (scores[1:] - scores[0])[:, wanted], (complete - scores[0])[:, wanted]
        return _painted(trace, _constrained(sets.double(), weights, gains, whole), labels[image])

    return torch.stack(each_image(trace, one))


@method(
    "lime",
    summary="linear model of the probability over superpixels",
    paper="Ribeiro et al. 2016",
    equation="β of min Σ_n π_n·(p_c(x_n) − β₀ − Σ_i β_i·z_ni)² + Σβ², π = exp(−D²/2σ²), D the cosine distance to x",
    forwards=str(SAMPLES),
    gradients=False,
    grid="pixels",
    reads_layer=False,
)
def lime(trace: Trace, classes: Tensor) -> Tensor:
    """Coefficients β of a ridge regression of p_c on the superpixels that stay (Ribeiro et al. 2016, eq. 1 and 2).

    Each superpixel of x_n stays (z_ni = 1) with a chance of one half, or gets the mean colour. Kernel, width and ridge
    are those of the authors' code for images; its weights are the roots of the paper's.
    """
    replay = trace.replay
    labels = superpixels_of(replay, classes)

    def one(image: int) -> Tensor:
        players = int(labels[image].max()) + 1
        sets = (torch.rand(SAMPLES, players, generator=replay.generator()) < 0.5).float()
        sets[0] = 1
        found = replay.probabilities(_scores(replay, image, labels[image], sets))[:, classes[image].cpu()]
        distances = 1 - (sets.double().sum(dim=1) / players).sqrt()
        weights = (-distances.square() / (2 * WIDTH**2)).exp()
        return _painted(trace, _ridge(sets.double(), weights, found), labels[image])

    return torch.stack(each_image(trace, one))


def coalitions(players: int, budget: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns at most `budget` sets of so many players, n×M of 0 and 1, and their Shapley kernel weights: n, float64.

    The empty set and the set of all players are left out. Sizes s and M − s come together.
    """
    sets: list[Tensor] = []
    weights: list[Tensor] = []
    sizes = list(range(1, players // 2 + 1))
    #: By size: the weight of all sets of this size and of their complements.
    masses = [(players - 1) / (s * (players - s)) * (1 if 2 * s == players else 2) for s in sizes]
    while sizes:
        size, both = sizes[0], 1 if 2 * sizes[0] == players else 2
        count = math.comb(players, size) * both
        if count > budget:
            break
        rows = torch.zeros(count // both, players)
        chosen = torch.tensor(list(itertools.combinations(range(players), size)))
        rows.scatter_(1, chosen, 1.0)
        sets.append(torch.cat([rows, 1 - rows]) if both == 2 else rows)
        weights.append(torch.full((count,), masses[0] / count, dtype=torch.float64))
        budget -= count
        sizes, masses = sizes[1:], masses[1:]
    pairs = budget // 2
    if sizes and pairs:
        drawn = torch.tensor(masses).multinomial(pairs, replacement=True, generator=draw)
        ranks = torch.rand(pairs, players, generator=draw).argsort(dim=1).argsort(dim=1)
        rows = (ranks < torch.tensor(sizes)[drawn][:, None]).float()
        sets.append(torch.cat([rows, 1 - rows]))
        weights.append(torch.full((2 * pairs,), sum(masses) / (2 * pairs), dtype=torch.float64))
    if not sets:
        return torch.zeros(0, players), torch.zeros(0, dtype=torch.float64)
    return torch.cat(sets), torch.cat(weights)


def _scores(replay: Replay, image: int, labels: Tensor, sets: Tensor) -> Tensor:
    """Returns the scores n×K, on the host in float64, of an image that keeps only the superpixels of each set."""
    picture, kept = replay.inputs[image : image + 1], sets.to(replay.inputs)
    scores = replay.scores(len(kept), lambda part: picture * kept[part][:, labels][:, None], image)
    return scores.cpu().double()


def _constrained(sets: Tensor, weights: Tensor, gains: Tensor, whole: Tensor) -> Tensor:
    """Returns the values M×T that fit the gains n×T of sets best and sum to `whole` 1×T."""
    players = sets.shape[1]
    if players == 1:
        return whole
    weighted = sets * weights[:, None]
    products = weighted.T @ sets
    free = torch.linalg.solve(products, weighted.T @ gains)
    ones = torch.linalg.solve(products, torch.ones(players, 1, dtype=torch.float64))
    found: Tensor = free - ones * ((free.sum(dim=0) - whole) / ones.sum())
    return found


def _ridge(sets: Tensor, weights: Tensor, found: Tensor) -> Tensor:
    """Returns the coefficients M×T of a weighted ridge regression of `found` n×T on sets n×M, with an intercept."""
    shares = weights / weights.sum()
    sets, found = sets - shares @ sets, found - shares @ found
    weighted = sets * weights[:, None]
    products = weighted.T @ sets + RIDGE * torch.eye(sets.shape[1], dtype=torch.float64)
    coefficients: Tensor = torch.linalg.solve(products, weighted.T @ found)
    return coefficients


def _painted(trace: Trace, values: Tensor, labels: Tensor) -> Tensor:
    """Returns the map T×H×W in which each pixel has the value, of M×T, of its superpixel."""
    return trace.sign * values.T.float().to(labels.device)[:, labels]
