"""Paired test and interval for two networks on the same images."""

from __future__ import annotations

import math

from .shares import wilson


def mcnemar(only_a: int, only_b: int, *, mid: bool = True) -> float:
    """Two-sided exact p-value for equal accuracy of A and B, from the numbers of images that only one has right.

    mid: counts the observed outcome half (Fagerland et al. 2013), because the exact test is conservative.
    """
    pairs, low = only_a + only_b, min(only_a, only_b)
    if only_a == only_b:
        return 1.0
    term = math.exp(math.lgamma(pairs + 1) - math.lgamma(low + 1) - math.lgamma(pairs - low + 1) - pairs * math.log(2))
    observed, tail = term, term
    for i in range(low, 0, -1):
        term *= i / (pairs - i + 1)
        tail += term
        if term < tail * 1e-17:
            break
    return min(1.0, 2 * tail - (observed if mid else 0.0))


def paired_difference(both: int, only_a: int, only_b: int, neither: int, z: float) -> tuple[float, float]:
    """Interval of accuracy B − accuracy A on the same images (Newcombe 1998, paired, method 10).

    The correlation of the answers narrows the interval; it has the published continuity correction.
    """
    total = both + only_a + only_b + neither
    if total == 0:
        return -1.0, 1.0
    right_a, right_b = both + only_a, both + only_b
    a, b = right_a / total, right_b / total
    (low_a, high_a), (low_b, high_b) = wilson(right_a, total, z), wilson(right_b, total, z)
    phi = _correlation(both, only_a, only_b, neither)
    down, up = (b - low_b, high_a - a), (high_b - b, a - low_a)
    low = math.sqrt(max(0.0, down[0] ** 2 - 2 * phi * down[0] * down[1] + down[1] ** 2))
    high = math.sqrt(max(0.0, up[0] ** 2 - 2 * phi * up[0] * up[1] + up[1] ** 2))
    return b - a - low, b - a + high


def _correlation(both: int, only_a: int, only_b: int, neither: int) -> float:
    total = both + only_a + only_b + neither
    product = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    excess = both * neither - only_a * only_b
    corrected = max(excess - total / 2, 0.0) if excess > 0 else float(excess)
    return corrected / math.sqrt(product) if product else 0.0
