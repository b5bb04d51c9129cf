"""Rows of `metrics.csv`, the table of a training: every field with its type, unit and range."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .shapes import Range
from .units import Share


class _EveryEpoch(TypedDict):
    #: Number of the epoch, from 1.
    epoch: Annotated[int, Range(1, 1e6)]


class EpochRow(_EveryEpoch, total=False):
    """One epoch of a training: a line of `metrics.csv`. A value that is not finite is left out."""

    #: Learning rate of the last step.
    lr: Annotated[float, Range(0, 1e9)]
    #: Mean loss over the training images.
    train_loss: Annotated[float, Range(-1e12, 1e12)]
    #: Accuracy on the training images.
    train_accuracy: Share
    #: Mean cross-entropy over the validation images.
    val_loss: Annotated[float, Range(-1e12, 1e12)]
    #: Accuracy on the validation images.
    val_accuracy: Share
    #: Seconds that the epoch took.
    seconds: Annotated[float, Range(0, 1e12)]
    #: Whether it was the best epoch so far; 0 or 1 in the file.
    best: bool
