"""The normal distribution as intervals and tests use it."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

#: Arrays of any float type, and numbers: every formula here works on both.
Numbers = Any

_NORMAL = NormalDist()


def z_of(alpha: float, comparisons: int = 1) -> float:
    """The z of a two-sided interval that misses with probability `alpha`, shared by `comparisons` (Bonferroni)."""
    return -_NORMAL.inv_cdf(alpha / max(1, comparisons) / 2)


def z_of_power(power: float) -> float:
    """The z that a statistic must lie beyond its limit to be found with probability `power`."""
    return _NORMAL.inv_cdf(power)


def p_of(z: Numbers) -> Any:
    """The two-sided p-value of a statistic `z` standard errors from zero."""
    found = [math.erfc(abs(one) / math.sqrt(2)) for one in np.ravel(z).tolist()]
    return np.array(found).reshape(np.shape(z))
