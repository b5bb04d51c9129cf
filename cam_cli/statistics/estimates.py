"""Estimates of one number per group with uncertainty, and of the difference or ratio of two groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .normal import Numbers, p_of
from .shares import combined_difference, share_ratio, wilson

#: Normal scores at which a bootstrap distribution is stored; beyond them it continues as a normal one.
SCORES = np.linspace(-2.75, 2.75, 45)
_STEP = SCORES[1] - SCORES[0]
#: Largest z of p-values: an interval that excludes 0 even here gives a p-value of 0.
_FARTHEST = 38.0


class Estimates(Protocol):
    """Numbers of G groups. value: NaN if unknown. total: number of images. spread: standard deviation of one image, for
    sample sizes."""

    @property
    def value(self) -> np.ndarray: ...

    @property
    def total(self) -> np.ndarray: ...

    @property
    def spread(self) -> np.ndarray: ...

    def limits(self, z: Numbers, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Intervals of the groups with indices `of`, at `z` standard errors (one z, or one each)."""
        ...


@dataclass(frozen=True)
class Shares:
    """Shares `right` of `total` by group. effective: number of independent images with the information of `total`
    dependent ones; None if images are independent."""

    right: np.ndarray
    total: np.ndarray
    effective: np.ndarray | None = None

    @property
    def value(self) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.right / self.total)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of one image, with two successes and two failures added (Agresti and Coull 1998) at 0 and
        1."""
        share = np.where(
            (self.right == 0) | (self.right == self.total), (self.right + 2) / (self.total + 4), self.value
        )
        return np.asarray(np.sqrt(share * (1 - share)) * self._inflation)

    @property
    def _inflation(self) -> Any:
        """Factor by which dependence among images widens an interval."""
        if self.effective is None:
            return 1.0
        return np.sqrt(self.total / np.maximum(self.effective, 1))

    def counts(self, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Right and total of the groups `of`, in independent images."""
        if self.effective is None:
            return self.right[of], self.total[of]
        return np.nan_to_num(self.value[of]) * self.effective[of], self.effective[of]

    def limits(self, z: Numbers, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = wilson(*self.counts(of), z)
        return np.asarray(low), np.asarray(high)


@dataclass(frozen=True)
class Drawn:
    """Numbers that are no shares, with a bootstrap distribution each: `quantiles` G×45 at `SCORES`."""

    value: np.ndarray
    total: np.ndarray
    quantiles: np.ndarray

    @property
    def spread(self) -> np.ndarray:
        one = np.searchsorted(SCORES, 1.0)
        half = (self.quantiles[:, one] - self.quantiles[:, len(SCORES) - 1 - one]) / (2 * SCORES[one])
        return np.asarray(half * np.sqrt(self.total))

    def limits(self, z: Numbers, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = np.broadcast_to(np.asarray(z, float), np.shape(of))
        return self._quantile(-scores, of), self._quantile(scores, of)

    def _quantile(self, scores: np.ndarray, of: np.ndarray) -> np.ndarray:
        inside = np.clip(scores, SCORES[0], SCORES[-1])
        place = np.minimum((inside - SCORES[0]) / _STEP, len(SCORES) - 1.000001)
        left = place.astype(int)
        part = place - left
        found = self.quantiles[of, left] * (1 - part) + self.quantiles[of, left + 1] * part
        # Beyond the last score the distribution continues as a normal one.
        stretch = np.maximum(1.0, np.abs(scores) / SCORES[-1])
        return np.asarray(self.value[of] + (found - self.value[of]) * stretch)


def difference(
    estimates: Estimates, a: np.ndarray, b: np.ndarray, z: Numbers
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences of groups `a` minus groups `b` (indices, pairwise), with lower and upper limits.

    Newcombe's method 10 for shares; for other numbers its extension by Zou and Donner. Treats groups with common
    subjects as independent, which widens the interval.
    """
    value = estimates.value
    low, high = combined_difference(value[a], estimates.limits(z, a), value[b], estimates.limits(z, b))
    return value[a] - value[b], np.asarray(low), np.asarray(high)


def ratio(estimates: Estimates, a: np.ndarray, b: np.ndarray, z: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ratios of groups `a` to groups `b`, with lower and upper limits, none below 0.

    Katz's logarithm for shares; for other numbers the difference of logarithms. NaN unless values are above 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = estimates.value[a] / estimates.value[b]
        if isinstance(estimates, Shares):
            low, high = share_ratio(*estimates.counts(a), *estimates.counts(b), z)
            return seen, np.minimum(low, seen), np.maximum(high, seen)
        logs = [np.log(np.maximum(estimates.value[of], 0.0)) for of in (a, b)]
        limits = [tuple(np.log(np.maximum(limit, 0.0)) for limit in estimates.limits(z, of)) for of in (a, b)]
        low, high = combined_difference(logs[0], limits[0], logs[1], limits[1])
        return seen, np.exp(low), np.exp(high)


def p_values(estimates: Estimates, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Two-sided p-values that two groups are equal: the level at which the interval of the difference touches 0."""
    near, far = np.zeros(len(a)), np.full(len(a), _FARTHEST)
    for _ in range(40):
        middle = (near + far) / 2
        _, low, high = difference(estimates, a, b, middle)
        excludes = (low > 0) | (high < 0)
        near, far = np.where(excludes, middle, near), np.where(excludes, far, middle)
    return np.asarray(p_of(near))
