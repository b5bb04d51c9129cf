"""Columns of a run of `camx evaluate`: scores of every method and baseline for every image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..outputs.rows import ImageRow
from .faithful_scores import BASELINES, METRICS


@dataclass(frozen=True)
class FaithfulColumns:
    """N images. scores: N values by method and score, NaN if undefined. curves: mean curve by method and name. layers:
    by method. blank: number of blank maps by method. failed: number of images without maps."""

    images: tuple[str, ...]
    scores: Mapping[str, Mapping[str, np.ndarray]]
    curves: Mapping[str, Mapping[str, np.ndarray]]
    layers: Mapping[str, str]
    blank: Mapping[str, int]
    failed: int

    @property
    def methods(self) -> list[str]:
        """Methods without the baselines."""
        return [name for name in self.scores if name not in BASELINES]


def faithful_columns(rows: Iterable[ImageRow], metrics: Iterable[str]) -> FaithfulColumns:
    """Converts rows to columns of the scores of `metrics`."""
    names = [name for metric in metrics for name in METRICS.get(metric, ())]
    images: list[str] = []
    values: dict[str, dict[str, list[float]]] = {}
    sums: dict[str, dict[str, list[np.ndarray]]] = {}
    layers: dict[str, str] = {}
    blank: dict[str, int] = {}
    failed = 0
    for row in rows:
        maps = {one.get("method", ""): one for one in row.get("maps", ())}
        if not maps:
            failed += 1
            continue
        images.append(row["image"])
        for method in dict.fromkeys((*maps, *values)):
            columns = values.setdefault(method, {name: [float("nan")] * (len(images) - 1) for name in names})
            one = maps.get(method, {})
            scores = one.get("scores")
            for name, column in columns.items():
                column.append((scores or {}).get(name, float("nan")))
            if scores is None and method in maps:
                blank[method] = blank.get(method, 0) + 1
            for name, points in one.get("curves", {}).items():
                sums.setdefault(method, {}).setdefault(name, []).append(np.array(points))
            layers.setdefault(method, one.get("layer", ""))
    order = [*(name for name in values if name not in BASELINES), *(name for name in BASELINES if name in values)]
    return FaithfulColumns(
        images=tuple(images),
        scores={method: {name: np.array(column) for name, column in values[method].items()} for method in order},
        curves={method: {name: _mean(some) for name, some in sums.get(method, {}).items()} for method in order},
        layers={method: layers[method] for method in order},
        blank=blank,
        failed=failed,
    )


def _mean(curves: list[np.ndarray]) -> np.ndarray:
    """Mean of the curves with the most frequent number of points."""
    usual = len(curves[0])
    return np.asarray(np.mean([one for one in curves if len(one) == usual], axis=0))
