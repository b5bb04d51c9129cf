"""Table of metrics to compare between groups: one function per metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..statistics import Estimates, Resampler, Sample, Totals
from .groups import Attribute
from .image_table import ImageTable

#: Number of probability bins of the calibration error (Guo et al. 2017).
_BINS = 15


@dataclass(frozen=True)
class Question:
    """Input of a metric: images and groups of an attribute. positive: class of recall and precision; None for the mean
    over classes."""

    table: ImageTable
    attribute: Attribute
    resampler: Resampler
    positive: int | None = None

    def sample(self, values: np.ndarray) -> Sample:
        return Sample.of(values, self.attribute.codes, len(self.attribute.groups))


@dataclass(frozen=True)
class Metric:
    """A metric. needs: data that the run must have: `labels`, `maps`, `predictions`, or another column. share: shown in
    percent."""

    summary: str
    estimate: Callable[[Question], Estimates]
    needs: str
    share: bool = True


def accuracy(question: Question) -> Estimates:
    """Share of the labelled images whose top class is the true one."""
    return question.resampler.shares(question.sample(question.table.correct))


def recall(question: Question) -> Estimates:
    """Share of the images of a class that are predicted as this class: of one class, or the mean over classes."""
    table = question.table
    if question.attribute.kind == "class":
        return accuracy(question)
    if question.positive is not None:
        return question.resampler.shares(question.sample(_where(table.label == question.positive, table.correct)))
    return _mean_over(table.label, question)


def precision(question: Question) -> Estimates:
    """Share of the images predicted as a class that belong to it: of one class, or the mean over classes."""
    table, attribute = question.table, question.attribute
    if attribute.predicted is not None:
        return question.resampler.shares(Sample.of(table.correct, attribute.predicted, len(attribute.groups)))
    if question.positive is not None:
        return question.resampler.shares(question.sample(_where(table.predicted == question.positive, table.correct)))
    return _mean_over(table.predicted, question)


def overconfidence(question: Question) -> Estimates:
    """Mean probability of the top class minus accuracy: above 0 the network is overconfident."""
    return _mean(question, question.table.numbers["prob"] - question.table.correct)


def ece(question: Question) -> Estimates:
    """Expected calibration error: |accuracy − mean probability|, averaged over 15 bins of probability."""
    probability = question.table.numbers["prob"]
    bins = np.clip(np.nan_to_num(probability) * _BINS, 0, _BINS - 1).astype(int)
    count = len(question.attribute.groups)
    sample = Sample(question.attribute.codes, count, bins, probability - question.table.correct)
    return question.resampler.estimate_size(sample)


def column_mean(name: str) -> Callable[[Question], Estimates]:
    """Mean of a column of numbers."""
    return lambda question: _mean(question, question.table.numbers[name])


def _mean(question: Question, values: np.ndarray) -> Estimates:
    return question.resampler.estimate(question.sample(values), Totals.mean)


def _mean_over(classes: np.ndarray, question: Question) -> Estimates:
    count = len(question.attribute.groups)
    sample = Sample(question.attribute.codes, count, classes, question.table.correct)
    return question.resampler.estimate(sample, Totals.mean_of_cells)


def _where(condition: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(condition, values, np.nan)


#: Means of the measures of a map.
_OF_MAPS = {
    "cam_peak": "mean of the raw peak of the map",
    "cam_area": "mean share of the image at or above half the peak",
    "cam_center_x": "mean centre of mass across",
    "cam_center_y": "mean centre of mass down",
    "cam_border": "mean share of the mass in the outer 10 %",
    "cam_entropy": "mean entropy of the map",
}

METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("share of labelled images whose best class is the true one", accuracy, "labels"),
    "recall": Metric("share of a class that is found, mean over classes, or of one", recall, "labels"),
    "precision": Metric("share of a prediction that is right, mean over classes, or of one", precision, "labels"),
    "prob": Metric("mean probability of the best class", column_mean("prob"), "predictions"),
    "label_prob": Metric("mean probability of the true class", column_mean("label_prob"), "label_prob"),
    "overconfidence": Metric("mean probability of the best class minus accuracy", overconfidence, "labels"),
    "ece": Metric("expected calibration error in 15 bins", ece, "labels"),
    **{name: Metric(summary, column_mean(name), "maps", share=False) for name, summary in _OF_MAPS.items()},
    "energy_in_box": Metric("mean share of the map inside the true box", column_mean("energy_in_box"), "truth"),
}
#: Default metrics in tables of groups.
USUAL = ("accuracy", "prob", "cam_border", "cam_area")
