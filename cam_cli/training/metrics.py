"""Metrics of the epochs of a training, with confusion matrix and mistakes, and `metrics.csv`."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

#: Number of mistakes that are kept: those with the highest probability.
MOST_MISTAKES = 100


class Mistake(NamedTuple):
    """A misclassified validation image: its position, the predicted class and its probability."""

    position: int
    predicted: int
    prob: float


@dataclass(frozen=True)
class Scores:
    """Mean cross-entropy, confusion matrix (rows: true classes) and the most confident mistakes."""

    loss: float
    confusion: np.ndarray
    wrong: tuple[Mistake, ...] = ()

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))

    @property
    def per_class(self) -> list[float]:
        """Recall of each class."""
        return [float(row[i] / row.sum()) if row.sum() else 0.0 for i, row in enumerate(self.confusion)]


@dataclass(frozen=True)
class EpochMetrics:
    """One row of metrics.csv. epoch: from 1. lr: of the last step. best: whether it is the best epoch so far."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    best: bool

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key, larger is better: by accuracy, then by loss."""
        return self.val_accuracy, -self.val_loss

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> EpochMetrics:
        return cls(**stored)


def metrics_csv(history: Sequence[EpochMetrics]) -> bytes:
    """metrics.csv of all epochs so far."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    names = [field.name for field in dataclasses.fields(EpochMetrics)]
    writer.writerow(names)
    for row in history:
        values = [getattr(row, name) for name in names]
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else int(value) for value in values])
    return text.getvalue().encode()
