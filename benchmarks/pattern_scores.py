"""Scores the search for planted marks by flagged patterns, by clusters of maps and by `cam_border`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from cam_cli.patterns.clustering import _k_means, unit
from cam_cli.patterns.records import SAME_PLACE, Pattern
from cam_cli.patterns.spots import SpotTable

from .planted_marks import ON

Pair = tuple[float, float]


class Use(NamedTuple):
    """Whether a network uses a mark, by pairs of images with it and without. flips: rise of the
    share of dogs predicted as cats. odds: mean rise of the log-odds of cat."""

    flips: float
    odds: float


class Found(NamedTuple):
    """Results of one setting. base: share of the images predicted as cats that have the mark. reach: share of these
    with a spot on it, NaN where the mark has no place. ours, theirs, edge: precision and recall by patterns, clusters
    and `cam_border`. flagged: number of flagged patterns. wrong: flagged patterns with the mark in less than half of
    their images."""

    base: float
    reach: float
    ours: Pair
    theirs: Pair
    edge: Pair
    flagged: int
    wrong: int


HEADER = (
    "dogs → cats | log-odds | base | a spot on it | flagged: precision / recall | SpRAy | `cam_border` | flagged, wrong"
)


def header(*names: str) -> str:
    """The head of a table whose first columns have these names."""
    columns = [*names, *HEADER.split(" | ")]
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def line(names: tuple[str, ...], use: Use, one: Found) -> str:
    """The line of a setting."""
    cells = [*names, f"{use.flips:+.2f}", f"{use.odds:+.1f}", f"{one.base:.2f}", _number(one.reach), _pair(one.ours)]
    return f"| {' | '.join([*cells, _pair(one.theirs), _pair(one.edge), f'{one.flagged}, {one.wrong}'])} |"


def doses_text(doses: tuple[float, float]) -> str:
    """Shares of the cats and of the dogs with a mark, as text."""
    return ", ".join(f"{share:.0%}" for share in doses)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _pair(found: Pair) -> str:
    return " / ".join(map(_number, found))


def precision_recall(found: np.ndarray, marked: np.ndarray) -> Pair:
    both = float((found & marked).sum())
    precision, recall = (both / total if total else float("nan") for total in (found.sum(), marked.sum()))
    return precision, recall


def f1(pair: Pair) -> float:
    return 2 * pair[0] * pair[1] / (pair[0] + pair[1]) if sum(pair) > 0 else 0.0


def reach(spots: SpotTable, target: int, marked: np.ndarray, mark: str) -> float:
    """The share of marked images with a spot of the class on their mark. marked: bool, by image of the table."""
    if mark not in ON or not marked.any():
        return float("nan")
    on = (spots.target == target) & marked[spots.owner] & ON[mark](spots.x, spots.y)
    return len(np.unique(spots.owner[on])) / int(marked.sum())


def found_in(patterns: tuple[Pattern, ...], maps: np.ndarray, marked: np.ndarray, reached: float) -> Found:
    """Scores of patterns and of maps N×h×w. marked: bool, whether the image of each map has the mark."""
    flagged = [one for one in patterns if SAME_PLACE in one.flags]
    ours = np.zeros(len(marked), bool)
    for one in flagged:
        ours[one.images] = True
    clusters = spray(maps)
    theirs = max((precision_recall(clusters == one, marked) for one in np.unique(clusters)), key=f1)
    heat = np.maximum(maps, 0)
    edge = max(1, round(0.1 * maps.shape[1]))
    outer = 1 - heat[:, edge:-edge, edge:-edge].sum((1, 2)) / np.maximum(heat.sum((1, 2)), 1e-9)
    ranks = np.argsort(np.argsort(-outer))
    cut = max((precision_recall(ranks < count, marked) for count in range(5, len(marked), 5)), key=f1)
    wrong = sum(marked[one.images].mean() < 0.5 for one in flagged)
    return Found(float(marked.mean()), reached, precision_recall(ours, marked), theirs, cut, len(flagged), wrong)


def spray(maps: np.ndarray) -> np.ndarray:
    """Clusters of maps N×h×w: pooled to at most 13×13, compared by the Bhattacharyya coefficient, eigengap."""
    heat = np.maximum(maps, 0)
    if heat.shape[1] > 13:
        heat = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(heat)[:, None], 11)[:, 0].numpy()
    flat = heat.reshape(len(heat), -1)
    points = np.sqrt(flat / np.maximum(flat.sum(1, keepdims=True), 1e-9)).astype(np.float64)
    alike = points @ points.T
    np.fill_diagonal(alike, 0)
    near = np.argsort(-alike, axis=1)[:, :8]
    graph = np.zeros_like(alike)
    np.put_along_axis(graph, near, np.take_along_axis(alike, near, 1), 1)
    graph = np.maximum(graph, graph.T)
    scale = 1 / np.sqrt(np.maximum(graph.sum(1), 1e-9))
    values, vectors = np.linalg.eigh(np.eye(len(graph)) - scale[:, None] * graph * scale)
    count = int(np.diff(values[1:9]).argmax()) + 2
    return _k_means(unit(vectors[:, :count]), count, np.random.default_rng(0))
