"""Records of the results of a search for patterns, from which all outputs are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..gates import GateResult
from ..outputs.record import RunRecord
from .spots import SpotTable

#: Flags of a pattern: its spots are at one place, outside the objects, or in images of one class only.
SAME_PLACE, OUTSIDE, ONE_CLASS = FLAGS = ("same_place", "outside", "one_class")
#: Fills of a cover: mean colour of the image, blurred image.
FILLS = ("mean", "blur")
#: Measured drops: of the probability of the class, and of its log-odds in natural units (for a softmax: logit minus
#: log-sum-exp of all others), which do not saturate when the network is confident.
DROP, LOGIT_DROP = MEASURES = ("drop", "logit_drop")


@dataclass(frozen=True)
class Number:
    """A share with its interval and number of images."""

    value: float
    low: float
    high: float
    total: int


@dataclass(frozen=True)
class Drop:
    """Mean drops with spots covered and with covers elsewhere, and their difference with its interval.

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
    """A pattern whose spots were covered in `images` images. probability: mean of the class without covers.

    drops: by measure, `drop` (of the probability) or `logit_drop` (of the log-odds), then by the fill of the covers.
    """

    images: int
    probability: float
    drops: Mapping[str, Mapping[str, Drop]]

    @property
    def used(self) -> bool:
        """Whether the log-odds drop significantly more than elsewhere, with every fill."""
        return all(one.low > 0 for one in self.drops[LOGIT_DROP].values())


@dataclass(frozen=True)
class Pattern:
    """A cluster of similar spots of one class. number: from 1 within the class, most images first.

    spots: rows in the table of spots, most typical first. images: positions of the images, in that order. share: of the
    images with a map of the class. x, y: median place as shares of width and height. spread: median distance from it.
    border: share of the spots in the outer 10 %. exclusive: among all images with a matching spot, share of those in
    maps of this class. with_, without: accuracy of images with and without the pattern, None without labels. outside:
    share of the spots outside the objects, None without truth. small: too few images for flags and gates. checked:
    result of a check.
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
    """Patterns of a run. cluster: int N, index into `patterns` of each spot, or −1. left_out: number of images by
    reason. notes: warnings."""

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
        """Name of a pattern: its class and number."""
        return f"{self.spots.table.classes[pattern.target]} {pattern.number}"
