"""Estimates for gates on pairs: differences of accuracy, and exact counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..statistics import paired_difference
from ..statistics.normal import Numbers


@dataclass(frozen=True)
class PairedDrops:
    """Accuracy A − accuracy B of G groups, from the numbers of images that both, only A, only B, or neither has
    right."""

    both: np.ndarray
    only_a: np.ndarray
    only_b: np.ndarray
    neither: np.ndarray

    @property
    def total(self) -> np.ndarray:
        return np.asarray(self.both + self.only_a + self.only_b + self.neither)

    @property
    def value(self) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((self.only_a - self.only_b) / self.total)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of the difference of one image (−1, 0 or 1). Without flips, one of each kind is added."""
        only_a, only_b, total = self.only_a, self.only_b, self.total
        none = only_a + only_b == 0
        only_a, only_b, total = only_a + none, only_b + none, total + 2 * none
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (only_a - only_b) / total
            return np.asarray(np.sqrt((only_a + only_b) / total - mean**2))

    def limits(self, z: Numbers, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = np.broadcast_to(np.asarray(z, float), np.shape(of))
        columns = (column[of].astype(int).tolist() for column in (self.both, self.only_a, self.only_b, self.neither))
        # The interval belongs to B − A, a drop is A − B.
        found = [paired_difference(a, b, c, d, score) for a, b, c, d, score in zip(*columns, scores.tolist())]
        low, high = np.array(found, float).reshape(-1, 2).T
        return -high, -low


@dataclass(frozen=True)
class Counts:
    """Exact counts of images: the interval has no width."""

    value: np.ndarray
    total: np.ndarray

    @property
    def spread(self) -> np.ndarray:
        return np.zeros(len(self.value))

    def limits(self, z: Numbers, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.value[of], self.value[of]
