"""Computes the forms of a gate over several groups: gap, ratio, minimum and maximum, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..statistics import Estimates, difference, ratio

GAP, RATIO, MIN, MAX = "gap", "ratio", "min", "max"


class Reading(NamedTuple):
    """Value of a form. seen, low, high: value and interval. groups: indices of the groups that give it. spreads: their
    standard deviations per image; for a ratio those of the logarithm."""

    seen: float
    low: float
    high: float
    groups: tuple[int, ...]
    spreads: tuple[float, ...]


def pairs_of(groups: Sequence[int], reference: int | None) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of these groups, or each group with the reference."""
    places = np.array(groups, int)
    if reference is not None:
        others = places[places != reference]
        return others, np.full(len(others), reference)
    first, second = np.triu_indices(len(places), 1)
    return places[first], places[second]


def comparisons_of(form: str, groups: Sequence[int], reference: int | None = None) -> int:
    """Number of simultaneous intervals of a form."""
    if form in (GAP, RATIO):
        return len(groups) - 1 if reference is not None else len(groups) * (len(groups) - 1) // 2
    return len(groups)


def gap(estimates: Estimates, groups: Sequence[int], reference: int | None, z: float) -> Reading:
    """Largest difference of two groups. It lies between the largest lower and the largest upper limit of all pairs."""
    a, b = pairs_of(groups, reference)
    seen, low, high = difference(estimates, a, b, z)
    place = int(np.argmax(np.abs(seen)))
    pair = (a[place], b[place]) if seen[place] >= 0 else (b[place], a[place])
    lowest = np.maximum(np.maximum(low, -high), 0.0).max()
    return _reading(abs(seen[place]), lowest, np.maximum(high, -low).max(), pair, estimates)


def smallest_ratio(estimates: Estimates, groups: Sequence[int], reference: int | None, z: float) -> Reading:
    """Smallest ratio of two groups, of the smaller value to the larger."""
    first, second = pairs_of(groups, reference)
    value = estimates.value
    a, b = np.where(value[first] <= value[second], (first, second), (second, first))
    seen, low, high = ratio(estimates, a, b, z)
    known = np.isfinite(seen)
    if not known.any():
        return Reading(math.nan, math.nan, math.nan, tuple(groups), ())
    seen, low, high, a, b = (column[known] for column in (seen, low, high, a, b))
    place = int(np.argmin(seen))
    lowest = np.minimum(low, 1 / np.maximum(high, 1.0)).min()
    found = _reading(seen[place], lowest, np.minimum(high, 1.0).min(), (a[place], b[place]), estimates)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithmic = tuple(float(estimates.spread[group] / value[group]) for group in found.groups)
    return found._replace(spreads=logarithmic)


def smallest(estimates: Estimates, groups: Sequence[int], reference: int | None, z: float) -> Reading:
    """Smallest value of a group."""
    places = np.array(groups, int)
    low, high = estimates.limits(z, places)
    worst = places[int(np.argmin(estimates.value[places]))]
    return _reading(estimates.value[worst], low.min(), high.min(), (worst,), estimates)


def largest(estimates: Estimates, groups: Sequence[int], reference: int | None, z: float) -> Reading:
    """Largest value of a group."""
    places = np.array(groups, int)
    low, high = estimates.limits(z, places)
    worst = places[int(np.argmax(estimates.value[places]))]
    return _reading(estimates.value[worst], low.max(), high.max(), (worst,), estimates)


FORMS: Mapping[str, Callable[[Estimates, Sequence[int], int | None, float], Reading]] = {
    GAP: gap,
    RATIO: smallest_ratio,
    MIN: smallest,
    MAX: largest,
}


def _reading(seen: float, low: float, high: float, groups: Sequence[int], estimates: Estimates) -> Reading:
    spreads = tuple(float(estimates.spread[group]) for group in groups)
    return Reading(float(seen), float(low), float(high), tuple(int(group) for group in groups), spreads)
