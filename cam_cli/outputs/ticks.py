"""Computes round numbers for the axes of a chart."""

from __future__ import annotations

import math


def value_ticks(low: float, high: float, floor: float | None = None) -> list[float]:
    """Four to eight round values, equally spaced, from at most `low` (or `floor`) to at least `high`."""
    low = low if floor is None else min(low, floor)
    span = max(high - low, 1e-3)
    magnitude = 10.0 ** math.floor(math.log10(span / 4))
    step = next(s * magnitude for s in (1, 2, 2.5, 5, 10) if span / (s * magnitude) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * i for i in range(first, max(last, first + 1) + 1)]


def epoch_ticks(epochs: int) -> list[int]:
    """The first epoch, then up to ten at equal distances."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**6) if epochs / s <= 10)
    return sorted({1, *range(step, epochs + 1, step)} - ({2} if step == 2 else set()))
