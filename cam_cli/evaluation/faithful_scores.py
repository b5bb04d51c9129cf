"""Names of the scores of faithfulness, their metrics and directions. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Baseline maps that do not depend on the image.
RANDOM, CENTRE = BASELINES = ("random", "centre")


@dataclass(frozen=True)
class Score:
    """A number per map. higher: whether larger is better; None if neither is. share: whether it is 0 or 1, and its mean
    a share of maps. ranks: whether methods are ranked by it. sentence: its description."""

    higher: bool | None
    share: bool
    ranks: bool
    sentence: str


SCORES: Mapping[str, Score] = {
    "deletion": Score(False, False, True, "mean probability while cells are blurred, the hottest first"),
    "insertion": Score(
        True, False, True, "mean probability while cells of a blurred image are restored, hottest first"
    ),
    "deletion_mean": Score(False, False, True, "deletion with the mean colour instead of the blurred image"),
    "insertion_mean": Score(True, False, True, "insertion with the mean colour instead of the blurred image"),
    "drop": Score(False, False, False, "share of the probability that the image loses when multiplied with the map"),
    "increase": Score(True, True, False, "share of the images whose probability rises when multiplied with the map"),
    "coherency": Score(True, False, False, "correlation of the map with that of the multiplied image, from 0 to 1"),
    "complexity": Score(False, False, False, "mean of the map: 1 covers the whole image"),
    "adcc": Score(True, False, True, "harmonic mean of coherency, 1 − complexity and 1 − drop"),
    "road": Score(True, False, True, "(LeRF − MoRF) / 2 with noisy linear imputation"),
    "sensitivity": Score(False, False, False, "largest relative change of the map under invisible noise"),
    "sanity_head": Score(None, False, False, "rank correlation with the map of a network with its head permuted"),
    "sanity_all": Score(
        None, False, False, "rank correlation with the map of a network whose weights are all permuted"
    ),
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
