"""Figures of faithfulness: scores of methods and baselines, the ranking of methods, flags, gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import CamxError
from ..gates import Condition, GateResult, Groups, Judge
from ..statistics import Estimates, Resampler, Sample, Totals, z_of
from .faithful_columns import FaithfulColumns
from .faithful_scores import CENTRE, RANDOM, SCORES, UNCHANGED

_ONE = np.zeros(1, int)
GAIN = "gain"


@dataclass(frozen=True)
class Interval:
    """A mean over `n` images with its interval; NaN without data."""

    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class FaithfulFigure:
    """A score of a method. random, centre: means of the baselines on the same images. gain: paired improvement over the
    random map. behind: paired deficit to the best method; None for that one."""

    score: str
    own: Interval
    random: float
    centre: float
    gain: Interval
    behind: Interval | None = None


@dataclass(frozen=True)
class RankedMethod:
    """A method with its figures by score. place: mean rank over the ranking scores, from 1; NaN without one. flags:
    sentences about failed checks."""

    name: str
    layer: str
    place: float
    figures: Mapping[str, FaithfulFigure]
    blank: int
    flags: tuple[str, ...]


class FaithfulFigures:
    """Figures of all methods, best first."""

    def __init__(self, columns: FaithfulColumns, confidence: float = 0.95, seed: int = 0) -> None:
        self.columns, self._confidence, self._draw = columns, confidence, Resampler(seed=seed)
        methods = columns.methods
        names = [name for name in SCORES if any(np.isfinite(columns.scores[one][name]).any() for one in methods
                 if name in columns.scores[one])]  # fmt: skip
        self.scores = names
        best = {name: self._best(name) for name in names}
        places = {one: [self._place(one, name) for name in names if SCORES[name].ranks] for one in methods}
        found = [
            RankedMethod(
                name=one,
                layer=columns.layers[one],
                place=float(np.mean(places[one])) if places[one] else float("nan"),
                figures={name: self._figure(one, name, best[name]) for name in names},
                blank=columns.blank.get(one, 0),
                flags=tuple(self._flags(one)),
            )
            for one in methods
        ]
        self.methods: Sequence[RankedMethod] = sorted(found, key=lambda one: np.nan_to_num(one.place, nan=np.inf))

    def estimates(self, method: str, score: str, *, gained: bool = False) -> Estimates:
        """Estimate for gates: mean of a score, or of its gain over the random map."""
        values = self.gains(method, score) if gained else self.columns.scores[method][score]
        sample = Sample.of(values, np.zeros(len(values), int), 1)
        if SCORES[score].share and not gained:
            return self._draw.shares(sample)
        return self._draw.estimate(sample, Totals.mean)

    def no_estimates(self) -> Estimates:
        """Estimates for a run without maps."""
        return self._draw.estimate(Sample.of(np.zeros(0), np.zeros(0, int), 1), Totals.mean)

    def gains(self, method: str, score: str, other: str = RANDOM) -> np.ndarray:
        """Gain of a method over another for each image; the plain difference if the score has no better end."""
        own, theirs = self.columns.scores[method][score], self.columns.scores[other][score]
        return np.asarray(theirs - own if SCORES[score].higher is False else own - theirs)

    def _figure(self, method: str, score: str, best: str) -> FaithfulFigure:
        behind = None
        if best and best != method and SCORES[score].ranks:
            behind = self._interval(self.gains(best, score, method), share=False)
        return FaithfulFigure(
            score=score,
            own=self._interval(self.columns.scores[method][score], share=SCORES[score].share),
            random=self._mean(RANDOM, score),
            centre=self._mean(CENTRE, score),
            gain=self._interval(self.gains(method, score), share=False),
            behind=behind,
        )

    def _interval(self, values: np.ndarray, *, share: bool) -> Interval:
        known = int(np.isfinite(values).sum())
        if not known:
            return Interval(0, float("nan"), float("nan"), float("nan"))
        sample = Sample.of(values, np.zeros(len(values), int), 1)
        found = self._draw.shares(sample) if share else self._draw.estimate(sample, Totals.mean)
        low, high = found.limits(z_of(1 - self._confidence), _ONE)
        return Interval(known, float(found.value[0]), float(low[0]), float(high[0]))

    def _mean(self, method: str, score: str) -> float:
        values = self.columns.scores[method][score]
        known = values[np.isfinite(values)]
        return float(known.mean()) if len(known) else float("nan")

    def _worth(self, method: str, score: str) -> float:
        """Mean of a score with the sign that makes larger better."""
        # Rounding errors must not separate methods that are equal for this network.
        mean = round(self._mean(method, score), 6)
        return -np.inf if np.isnan(mean) else mean if SCORES[score].higher else -mean

    def _best(self, score: str) -> str:
        return max(self.columns.methods, key=lambda one: self._worth(one, score))

    def _place(self, method: str, score: str) -> int:
        return 1 + sum(self._worth(one, score) > self._worth(method, score) for one in self.columns.methods)

    def _flags(self, method: str) -> list[str]:
        """Sentences about sanity checks that the method fails."""
        flags = []
        scores = self.columns.scores[method]
        for name, words in (("sanity_head", "another classifier"), ("sanity_all", "other weights everywhere")):
            if name in scores and self._mean(method, name) > UNCHANGED:
                flags.append(f"hardly changes with {words} (rank correlation {self._mean(method, name):+.2f})")
        return flags


@dataclass(frozen=True)
class FaithfulGate:
    """A gate on the mean of a score, or on its gain over the random map (`gained`)."""

    condition: Condition
    score: str
    gained: bool

    @classmethod
    def parse(cls, text: str, known: Sequence[str]) -> FaithfulGate:
        """Parses a condition. Raises `CamxError` for a score that is not measured, and for a gate by groups."""
        condition = Condition.parse(text)
        condition.expect_flag()
        condition.expect_metric([*known, *(f"{name}_{GAIN}" for name in known)])
        if condition.by:
            raise CamxError(
                f"`fail_if` {text!r}: faithfulness is measured over all images, not by groups.",
                "Leave 'by' out.",
                field="fail_if",
            )
        return cls(condition, condition.metric.removesuffix(f"_{GAIN}"), condition.metric.endswith(f"_{GAIN}"))

    def judged(self, figures: FaithfulFigures, confidence: float) -> list[GateResult]:
        """Verdicts on all methods, the best method first."""
        several = len(figures.methods) > 1
        results = []
        if not figures.methods:
            # Without data a gate must not disappear: it gets the verdict of an unknown value.
            nothing = Groups("", ("all maps",), figures.no_estimates(), [])
            return [Judge(self.condition, self.score, "", 1, confidence, share=False).on(nothing)]
        for one in figures.methods:
            label = (
                (f"{one.name}: " if several else "") + self.score + (" better than a random map" if self.gained else "")
            )
            judge = Judge(self.condition, label, "", 1, confidence, share=False)
            estimates = figures.estimates(one.name, self.score, gained=self.gained)
            usable = [0] if np.isfinite(estimates.value[0]) else []
            results.append(judge.on(Groups("", ("all maps",), estimates, usable)))
        return results
