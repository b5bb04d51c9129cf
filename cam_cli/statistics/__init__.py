"""Computes intervals, tests and sample sizes with numpy and the standard library. Imports no other room.

Every interval takes `z`, its half-width in standard errors of a normal distribution (`z_of` computes it from a level),
so that one function serves single and simultaneous intervals.
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
