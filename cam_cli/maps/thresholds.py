"""Thresholds of maps: half of the peak, and one from the values of a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Share of the peak from which on a map counts as strong.
HALF = 0.5
_LEVELS = 256


def otsu(heat: np.ndarray) -> float:
    """Returns the threshold of a heatmap in [0, 1] between the two most different groups of its values (Otsu 1979).

    Of several equally good thresholds, the middle. A map of one value gets half of it.
    """
    import numpy as np

    counts, edges = np.histogram(heat, _LEVELS, (0.0, 1.0))
    values = (edges[:-1] + edges[1:]) / 2
    below, above = counts.cumsum()[:-1], counts[::-1].cumsum()[::-1][1:]
    sums = (counts * values).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    between[(below == 0) | (above == 0)] = 0
    if not between.any():
        return float(heat.max()) / 2
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1:][best].mean())
