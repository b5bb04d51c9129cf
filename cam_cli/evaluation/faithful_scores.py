"""Names of the scores of faithfulness, their metrics and directions. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Baseline maps that do not depend on the image.
RANDOM, CENTRE = BASELINES = ("random", "centre")


@dataclass(frozen=True)
class Score:
    """A number per map. higher: whether larger is better; None if neither is. share: it is 0 or 1, and its mean a share
    of maps. ranks: whether methods are ranked by it. sentence: for tables and docs."""

    higher: bool | None
    share: bool
    ranks: bool
    sentence: str


SCORES: Mapping[str, Score] = {
    "deletion": Score(False, False, True, "mean probability while the hottest cells are blurred, step by step"),
    "insertion": Score(True, False, True, "mean probability while the hottest cells come back into the blurred image"),
    "deletion_mean": Score(False, False, True, "deletion with the mean colour instead of the blurred image"),
    "insertion_mean": Score(True, False, True, "insertion with the mean colour instead of the blurred image"),
    "drop": Score(False, False, False, "share of the probability that is lost when only what the map shows is left"),
    "increase": Score(True, True, False, "share of the images whose probability rises then"),
    "coherency": Score(True, False, False, "correlation of the map with the map of what it shows, from 0 to 1"),
    "complexity": Score(False, False, False, "mean of the map: 1 shows everything"),
    "adcc": Score(True, False, True, "harmonic mean of coherency, 1 − complexity and 1 − drop"),
    "road": Score(True, False, True, "(LeRF − MoRF) / 2 with noisy linear imputation"),
    "sensitivity": Score(False, False, False, "largest relative change of the map under noise too small to see"),
    "sanity_head": Score(None, False, False, "rank correlation with the map of a network whose head is permuted"),
    "sanity_all": Score(None, False, False, "the same with all weights permuted"),
}

#: Scores of each metric.
METRICS: Mapping[str, tuple[str, ...]] = {
    "deletion": ("deletion",),
    "insertion": ("insertion",),
    "deletion-mean": ("deletion_mean",),
    "insertion-mean": ("insertion_mean",),
    "adcc": ("drop", "increase", "coherency", "complexity", "adcc"),
    "road": ("road",),
    "sensitivity": ("sensitivity",),
    "sanity": ("sanity_head", "sanity_all"),
}

#: Above this correlation with the map of a permuted network, a map fails the sanity check.
UNCHANGED = 0.5
