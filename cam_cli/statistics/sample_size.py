"""Computes the number of images with which a gate could decide instead of warn."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .normal import z_of_power

#: Probability that this number of images suffices.
POWER = 0.8


def images_to_exceed(seen: float, limit: float, spreads: Sequence[float], z: float) -> int | None:
    """Images per group that prove with probability 0.8 that a value lies beyond `limit`; None if it does not.

    seen: assumed true value. spreads: standard deviations per image of the compared groups, or of one group. z: of the
    interval.
    """
    return _images(abs(seen - limit), spreads, z) if seen > limit else None


def images_to_stay_within(seen: float, limit: float, spreads: Sequence[float], z: float) -> int | None:
    """Images per group that prove with probability 0.8 that a value lies below `limit`; None if it does not."""
    return _images(abs(limit - seen), spreads, z) if seen < limit else None


def _images(distance: float, spreads: Sequence[float], z: float) -> int:
    return math.ceil((z + z_of_power(POWER)) ** 2 * sum(spread**2 for spread in spreads) / distance**2)
