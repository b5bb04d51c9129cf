"""Intervals, tests and sample sizes in numpy and the standard library.

Every interval takes `z`, the number of standard errors of a normal distribution that it reaches to both sides
(`z_of` computes it from a level), so that one call serves a single interval and a simultaneous one.
"""

from .estimates import Drawn, Estimates, Shares, difference, p_values, ratio
from .multiple import holm
from .normal import p_of, z_of
from .paired import mcnemar, paired_difference
from .resampling import Resampler, Sample, Totals
from .sample_size import images_to_exceed, images_to_stay_within
from .shares import share_difference, share_ratio, wilson

__all__ = [
    "Drawn",
    "Estimates",
    "Resampler",
    "Sample",
    "Shares",
    "Totals",
    "difference",
    "holm",
    "images_to_exceed",
    "images_to_stay_within",
    "mcnemar",
    "p_of",
    "p_values",
    "paired_difference",
    "ratio",
    "share_difference",
    "share_ratio",
    "wilson",
    "z_of",
]
