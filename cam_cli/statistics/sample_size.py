"""Sample size that a gate needs to decide where today it can only warn."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .normal import z_of_power

#: The share of repetitions in which that many images would suffice.
POWER = 0.8


def images_to_exceed(seen: float, limit: float, spreads: Sequence[float], z: float) -> int | None:
    """Images per group that show, with probability 0.8, that a value lies beyond `limit`; None if it does not.

    `seen` is taken for the truth. `spreads` are the standard deviations per image of the groups that it is the
    difference of (of one group, where it is no difference); `z` is that of the interval.
    """
    return _images(abs(seen - limit), spreads, z) if seen > limit else None


def images_to_stay_within(seen: float, limit: float, spreads: Sequence[float], z: float) -> int | None:
    """Images per group that show, with probability 0.8, that a value keeps below `limit`; None if it does not."""
    return _images(abs(limit - seen), spreads, z) if seen < limit else None


def _images(distance: float, spreads: Sequence[float], z: float) -> int:
    return math.ceil((z + z_of_power(POWER)) ** 2 * sum(spread**2 for spread in spreads) / distance**2)
