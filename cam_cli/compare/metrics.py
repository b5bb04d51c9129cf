"""Table of metrics for gates on two runs: one function per metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..statistics import Estimates, Resampler, Sample, Totals
from .estimates import Counts, PairedDrops
from .pairing import Pairing
from .records import FLIPS


@dataclass(frozen=True)
class Question:
    """Input of a metric: pairs in `count` groups. codes: group of each pair, −1 for none. shares: return counts as
    shares."""

    pairing: Pairing
    codes: np.ndarray
    count: int
    resampler: Resampler
    shares: bool = False

    def sample(self, values: np.ndarray) -> Sample:
        return Sample.of(values, self.codes, self.count)

    def counted(self, chosen: np.ndarray) -> np.ndarray:
        """Number of pairs in each group."""
        return np.bincount(self.codes[chosen & (self.codes >= 0)], minlength=self.count).astype(float)


@dataclass(frozen=True)
class Metric:
    """A metric. needs: `labels`, `maps`, `label_prob` or nothing. count: a number of images, unless the limit is in
    percent."""

    summary: str
    estimate: Callable[[Question], Estimates]
    needs: str = ""
    share: bool = True
    count: bool = False


def accuracy_drop(question: Question) -> Estimates:
    """Accuracy A − accuracy B."""
    pairing = question.pairing
    right_a, right_b, labelled = pairing.a.correct == 1, pairing.b.correct == 1, pairing.labelled
    four = (right_a & right_b, right_a & ~right_b, ~right_a & right_b, ~right_a & ~right_b)
    return PairedDrops(*(question.counted(chosen & labelled) for chosen in four))


def accuracy(question: Question) -> Estimates:
    """Accuracy of B."""
    pairing = question.pairing
    return question.resampler.shares(question.sample(np.where(pairing.labelled, pairing.b.correct, np.nan)))


def flipped(*words: str) -> Callable[[Question], Estimates]:
    """Number of pairs with one of these flips. `broke` and `fixed` are shares of the labelled pairs."""
    numbers = [FLIPS.index(word) for word in words]
    known_only = set(words) <= {"broke", "fixed"}

    def estimate(question: Question) -> Estimates:
        pairing = question.pairing
        chosen = np.isin(pairing.flips, numbers)
        among = pairing.labelled if known_only else np.ones(len(chosen), bool)
        if question.shares:
            return question.resampler.shares(question.sample(np.where(among, chosen.astype(float), np.nan)))
        return Counts(question.counted(chosen), question.counted(among))

    return estimate


def mean_of(column: Callable[[Pairing], np.ndarray]) -> Callable[[Question], Estimates]:
    """Mean of a number of each pair."""
    return lambda question: question.resampler.estimate(question.sample(column(question.pairing)), Totals.mean)


METRICS: Mapping[str, Metric] = {
    "accuracy_drop": Metric("accuracy of A minus accuracy of B", accuracy_drop, "labels"),
    "accuracy": Metric("accuracy of B", accuracy, "labels"),
    "broke": Metric("images that only A has right", flipped("broke"), "labels", count=True),
    "fixed": Metric("images that only B has right", flipped("fixed"), "labels", count=True),
    "changed": Metric("images with another wrong class", flipped("changed"), count=True),
    "flips": Metric("images with another prediction", flipped("broke", "fixed", "changed"), count=True),
    "label_prob_drop": Metric(
        "mean probability of the true class in A minus that in B",
        mean_of(lambda pairs: pairs.a.numbers["label_prob"] - pairs.b.numbers["label_prob"]),
        "label_prob",
    ),
    "cam_border_rise": Metric(
        "mean cam_border of B minus that of A",
        mean_of(lambda pairs: pairs.borders[1] - pairs.borders[0]),
        "maps",
        False,
    ),
    "map_cosine": Metric("mean cosine of the two maps", mean_of(lambda pairs: pairs.likeness.cosine), "maps", False),
    "map_iou": Metric("mean IoU of their hottest fifths", mean_of(lambda pairs: pairs.likeness.iou), "maps", False),
    "peak_shift": Metric("mean distance of their peaks", mean_of(lambda pairs: pairs.likeness.shift), "maps", False),
}
