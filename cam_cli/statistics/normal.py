"""The normal distribution for intervals and tests."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

#: Arrays of any float type, and numbers: every formula here works on both.
Numbers = Any

_NORMAL = NormalDist()


def z_of(alpha: float, comparisons: int = 1) -> float:
    """z of a two-sided interval with error probability `alpha`, divided by `comparisons` (Bonferroni)."""
    return -_NORMAL.inv_cdf(alpha / max(1, comparisons) / 2)


def z_of_power(power: float) -> float:
    """Distance in z beyond a limit that gives the probability `power` of detection."""
    return _NORMAL.inv_cdf(power)


def p_of(z: Numbers) -> Any:
    """Two-sided p-value of a statistic `z` standard errors from zero."""
    found = [math.erfc(abs(one) / math.sqrt(2)) for one in np.ravel(z).tolist()]
    return np.array(found).reshape(np.shape(z))
