"""Seeded bootstrap over images, or over clusters of them, for numbers that are no shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from .estimates import SCORES, Drawn, Shares

#: Largest group for real draws; larger groups use the normal limit, whose time does not grow with the size.
EXACT = 500
#: Random numbers in memory at once.
_CHUNK = 1 << 22
_LEVELS = np.array([NormalDist().cdf(score) for score in SCORES])


@dataclass(frozen=True)
class Totals:
    """Sums over images by cell (the last axis): number of images, and sum of their values."""

    count: np.ndarray
    total: np.ndarray

    def mean(self) -> np.ndarray:
        """Mean over all images."""
        return _divided(self.total.sum(-1), self.count.sum(-1))

    def mean_of_cells(self) -> np.ndarray:
        """Mean of the means of non-empty cells."""
        means = np.where(self.count > 0, _divided(self.total, self.count), 0.0)
        return _divided(means.sum(-1), (self.count > 0).sum(-1))

    def cell_sizes(self) -> np.ndarray:
        """Sum of each cell divided by the number of images of all cells."""
        return _divided(self.total, self.count.sum(-1, keepdims=True))


Statistic = Callable[[Totals], np.ndarray]


@dataclass(frozen=True)
class Sample:
    """N images. groups: group of each, −1 for none, of `count` groups. cells: cell of each, −1 to leave it out. values:
    NaN to leave it out."""

    groups: np.ndarray
    count: int
    cells: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, groups: np.ndarray, count: int) -> Sample:
        """All images in one cell."""
        return cls(groups, count, np.zeros(len(values), int), values)

    def members(self) -> Iterator[tuple[int, np.ndarray]]:
        """Non-empty groups with the indices of their images, smallest groups first."""
        used = (self.groups >= 0) & (self.cells >= 0) & np.isfinite(self.values)
        order = np.flatnonzero(used)
        order = order[np.argsort(self.groups[order], kind="stable")]
        present, starts = np.unique(self.groups[order], return_index=True)
        yield from sorted(zip(present.tolist(), np.split(order, starts[1:])), key=lambda found: len(found[1]))


@dataclass(frozen=True)
class Resampler:
    """Draws images with replacement, `draws` times. clusters: cluster of each image, such as a subject; clusters are
    drawn as a whole; −1 makes an image its own cluster. Equal seeds give equal intervals.
    """

    draws: int = 2000
    seed: int = 0
    clusters: np.ndarray | None = None

    def estimate(self, sample: Sample, statistic: Statistic) -> Drawn:
        """Statistic of each group, with its bootstrap distribution."""
        value, total, quantiles = _unknown(sample.count)
        for group, members in sample.members():
            seen, drawn = self._drawn(group, sample, members)
            value[group], total[group] = statistic(seen), len(members)
            quantiles[group] = np.quantile(statistic(drawn), _LEVELS)
        return Drawn(value, total, quantiles)

    def estimate_size(self, sample: Sample) -> Drawn:
        """Sum over cells of the absolute sum of values, per image.

        Noise biases a sum of absolute values upwards, and a bootstrap doubles the bias. But the error is at most the
        same sum over the errors, so draws of the errors give a valid interval.
        """
        value, total, quantiles = _unknown(sample.count)
        beyond = np.abs(2 * _LEVELS - 1)
        for group, members in sample.members():
            seen, drawn = (totals.cell_sizes() for totals in self._drawn(group, sample, members))
            value[group], total[group] = np.abs(seen).sum(), len(members)
            errors = np.abs(drawn - seen).sum(-1)
            quantiles[group] = value[group] + np.sign(SCORES) * np.quantile(errors, beyond)
        return Drawn(value, total, quantiles)

    def shares(self, sample: Sample) -> Shares:
        """Share of images with the value 1, for values 0 and 1."""
        right, total, effective = (np.zeros(sample.count) for _ in range(3))
        for group, members in sample.members():
            right[group], total[group] = sample.values[members].sum(), len(members)
            if self.clusters is not None:
                effective[group] = self._effective(sample, members)
        return Shares(right, total, None if self.clusters is None else effective)

    def _effective(self, sample: Sample, members: np.ndarray) -> float:
        """Effective sample size: the number of independent images with the same uncertainty as these clusters.

        Uses the linear approximation of the variance of a ratio, the limit of the cluster bootstrap.
        """
        units, values = self._units(members), sample.values[members]
        count, share = int(units.max()) + 1, float(values.mean())
        if count < 2 or share in (0.0, 1.0):
            return float(count)
        beyond = np.bincount(units, values - share)
        variance = float((beyond**2).sum()) / len(members) ** 2 * count / (count - 1)
        return float(min(len(members), share * (1 - share) / variance)) if variance > 0 else float(len(members))

    def _drawn(self, group: int, sample: Sample, members: np.ndarray) -> tuple[Totals, Totals]:
        """Totals of a group, and of its draws (draws × cells)."""
        cells = np.unique(sample.cells[members], return_inverse=True)[1]
        values, units = sample.values[members], self._units(members)
        if self.clusters is None and len(members) > EXACT:
            return _limit(cells, values, self.draws, np.random.default_rng([self.seed, group]))
        seen = Totals(np.bincount(cells), np.bincount(cells, values))
        return seen, _redrawn(units, cells, values, self.draws, self.seed)

    def _units(self, members: np.ndarray) -> np.ndarray:
        """Index of the drawn unit of each image, from 0."""
        if self.clusters is None:
            return np.arange(len(members))
        own = self.clusters[members]
        return np.unique(np.where(own < 0, -1 - members, own), return_inverse=True)[1]


def _redrawn(units: np.ndarray, cells: np.ndarray, values: np.ndarray, draws: int, seed: int) -> Totals:
    """Draws units with replacement and sums the images by cell: draws × cells."""
    count = int(units.max()) + 1
    # Images of one unit in one cell are always drawn together.
    together, places = np.unique(cells * count + units, return_inverse=True)
    sizes, sums = np.bincount(places).astype(float), np.bincount(places, values)
    unit, starts = together % count, np.flatnonzero(np.diff(together // count, prepend=-1))
    counts, totals = [], []
    for number, some in enumerate(_chunks(draws, max(count, len(unit)))):
        times = _times(seed + number, some, count)
        if len(starts) == 1:  # for one cell, one matrix product gives these sums
            counts.append((times @ sizes)[:, None])
            totals.append((times @ sums)[:, None])
        else:
            counts.append(np.add.reduceat(times[:, unit] * sizes, starts, axis=1))
            totals.append(np.add.reduceat(times[:, unit] * sums, starts, axis=1))
    return Totals(np.concatenate(counts), np.concatenate(totals))


@lru_cache(maxsize=1)
def _times(seed: int, draws: int, units: int) -> np.ndarray:
    """Counts of each unit in each draw: draws × units. Cached: groups of equal size share draws."""
    drawn = np.random.default_rng([seed, units]).integers(0, units, (draws, units))
    places = drawn + np.arange(draws)[:, None] * units
    return np.bincount(places.ravel(), minlength=draws * units).reshape(draws, units).astype(float)


def _limit(cells: np.ndarray, values: np.ndarray, draws: int, rng: np.random.Generator) -> tuple[Totals, Totals]:
    """Normal approximation of `_redrawn` for many images: counts per cell, and a normal sum in each."""
    sizes, sums = np.bincount(cells), np.bincount(cells, values)
    means = sums / sizes
    variances = np.maximum(np.bincount(cells, values**2) / sizes - means**2, 0.0)
    drawn = rng.multinomial(len(values), sizes / len(values), draws)
    total = drawn * means + np.sqrt(drawn * variances) * rng.standard_normal(drawn.shape)
    return Totals(sizes, sums), Totals(drawn, total)


def _unknown(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full(count, np.nan), np.zeros(count), np.full((count, len(SCORES)), np.nan)


def _chunks(draws: int, size: int) -> Iterator[int]:
    most = max(1, _CHUNK // size)
    for start in range(0, draws, most):
        yield min(most, draws - start)


def _divided(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums divided by counts; NaN for a count of 0."""
    counts = np.asarray(counts, float)
    return np.asarray(np.divide(sums, counts, out=np.full(np.broadcast(sums, counts).shape, np.nan), where=counts > 0))
