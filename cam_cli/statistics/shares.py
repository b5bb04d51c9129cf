"""Intervals of shares `right` of `total`, for numbers or arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .normal import Numbers


def wilson(right: Numbers, total: Numbers, z: Numbers) -> tuple[Any, Any]:
    """Score interval of a share (Wilson 1927); 0 to 1 for no images."""
    right, total, z = (np.asarray(value, float) for value in (right, total, z))
    with np.errstate(divide="ignore", invalid="ignore"):
        share, per_image = right / total, z * z / total
        half = z * np.sqrt(share * (1 - share) / total + per_image / (4 * total)) / (1 + per_image)
        centre = (share + per_image / 2) / (1 + per_image)
    none = total == 0
    low = np.where(none | (right == 0), 0.0, np.maximum(0.0, centre - half))
    high = np.where(none | (right == total), 1.0, np.minimum(1.0, centre + half))
    return low[()], high[()]


def share_difference(right_a: Numbers, total_a: Numbers, right_b: Numbers, total_b: Numbers, z: Numbers) -> Any:
    """Interval (low, high) of share A − share B of independent groups (Newcombe 1998, method 10)."""
    a, b = np.asarray(right_a, float) / total_a, np.asarray(right_b, float) / total_b
    return combined_difference(a, wilson(right_a, total_a, z), b, wilson(right_b, total_b, z))


def combined_difference(a: Numbers, limits_a: Any, b: Numbers, limits_b: Any) -> tuple[Any, Any]:
    """Interval of a − b from the intervals of two independent numbers (Zou and Donner 2008)."""
    (low_a, high_a), (low_b, high_b) = limits_a, limits_b
    seen = a - b
    return seen - np.hypot(a - low_a, high_b - b), seen + np.hypot(high_a - a, b - low_b)


def share_ratio(right_a: Numbers, total_a: Numbers, right_b: Numbers, total_b: Numbers, z: Numbers) -> Any:
    """Interval (low, high) of share A / share B of independent groups.

    Katz et al. 1978 on the logarithm, with half an image added to each count so that none is zero.
    """
    a, m, b, n = (np.asarray(value, float) + 0.5 for value in (right_a, total_a, right_b, total_b))
    logarithm = np.log(a / m) - np.log(b / n)
    error = np.sqrt(np.maximum(1 / a - 1 / m + 1 / b - 1 / n, 0.0))
    return np.exp(logarithm - z * error), np.exp(logarithm + z * error)
