"""Results of a search for patterns, as records from which every output is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..gates import GateResult
from ..outputs.record import RunRecord
from .spots import SpotTable

#: Flags of a pattern, with what they mean.
SAME_PLACE, OUTSIDE, ONE_CLASS = FLAGS = ("same_place", "outside", "one_class")
#: Fills of a cover: the mean colour of the image, and the image blurred.
FILLS = ("mean", "blur")
#: What covers lower: the probability of the class, and its log-odds in natural units (of a softmax: its logit less the
#: log-sum-exp of all others), which also tell where the network is sure.
DROP, LOGIT_DROP = MEASURES = ("drop", "logit_drop")


@dataclass(frozen=True)
class Number:
    """A share with its interval, and how many images are behind it."""

    value: float
    low: float
    high: float
    total: int


@dataclass(frozen=True)
class Drop:
    """Mean drop where spots are covered, and where as much is covered elsewhere; their difference with its interval.

    gains: the difference of each image, float N.
    """

    spot: float
    elsewhere: float
    gain: float
    low: float
    high: float
    gains: np.ndarray


@dataclass(frozen=True)
class Checked:
    """A pattern whose spots were covered in so many images. probability: the mean one of the class, nothing covered.

    drops: by measure, `drop` (of the probability) or `logit_drop` (of the log-odds), then by the fill of the covers.
    """

    images: int
    probability: float
    drops: Mapping[str, Mapping[str, Drop]]

    @property
    def used(self) -> bool:
        """Whether the log-odds fall by more than elsewhere for sure, with every fill."""
        return all(one.low > 0 for one in self.drops[LOGIT_DROP].values())


@dataclass(frozen=True)
class Pattern:
    """Spots of one class that are alike. number: from 1 within the class, most images first.

    spots: places in the table of spots, most typical first. images: places of the images, in that order. share: of the
    images with a map of the class. x, y: median place, as shares of the width and height; spread: median distance
    from it, as a share of the longer way. border: share of the spots in the outer 10 %. exclusive: share of the images
    with such a spot, in maps of any class, that are of this class's maps. with_, without: accuracy of the images of the
    class's maps, None without labels. outside: share of the spots beside the objects of the truth, None without truth.
    small: too few images for flags and gates. checked: what a check has measured.
    """

    number: int
    target: int
    spots: np.ndarray
    images: np.ndarray
    share: Number
    x: float
    y: float
    spread: float
    border: float
    exclusive: float | None
    with_: Number | None
    without: Number | None
    outside: Number | None
    flags: tuple[str, ...]
    small: bool
    checked: Checked | None = None


@dataclass(frozen=True)
class Patterns:
    """Patterns of a run. cluster: int N, the place in `patterns` that each spot belongs to, or −1. left_out: how many
    images, and why. notes: sentences on what could not be done, or not as expected."""

    run: RunRecord
    path: str
    spots: SpotTable
    patterns: tuple[Pattern, ...]
    cluster: np.ndarray
    gates: tuple[GateResult, ...]
    left_out: Mapping[str, int]
    notes: Sequence[str]
    confidence: float

    def name(self, pattern: Pattern) -> str:
        """A pattern as text: its class and its number."""
        return f"{self.spots.table.classes[pattern.target]} {pattern.number}"
