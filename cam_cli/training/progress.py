"""Plan, progress and summary of a training, and the interface of their observer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..images.picture import Unreadable
from ..outputs.record import MisclassifiedRow
from .metrics import EpochMetrics, Scores


@dataclass(frozen=True)
class TrainPlan:
    """Plan of a training, known before the first image is decoded. `first_epoch` counts from 1."""

    model: str
    weights: str
    layer: str
    layer_reason: str
    grid: str
    classes: tuple[str, ...]
    train_images: int
    val_images: int
    freeze: str
    epochs: int
    first_epoch: int
    lr: float
    batch_size: int
    device: str
    precision: str
    output: str
    input: str = ""
    input_origins: Mapping[str, str] = field(default_factory=dict)
    #: Backend of the features of a frozen backbone.
    backend: str = "torch"


@dataclass
class TrainProgress:
    """Progress of a stage, in images. Stages: `images` (reading them), `features`, `original head`, `training`."""

    stage: str
    total: int
    done: int = 0
    epoch: int = 0
    last: EpochMetrics | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.done / max(1e-9, time.perf_counter() - self.started)


class Observer(Protocol):
    """Receives plan, progress, epochs and warnings of a training; the command line shows them."""

    def planned(self, plan: TrainPlan) -> None: ...

    def advanced(self, progress: TrainProgress) -> None: ...

    def finished_epoch(self, metrics: EpochMetrics) -> None: ...

    def warned(self, message: str) -> None: ...


class Silent:
    """An observer that ignores everything."""

    def planned(self, plan: TrainPlan) -> None: ...

    def advanced(self, progress: TrainProgress) -> None: ...

    def finished_epoch(self, metrics: EpochMetrics) -> None: ...

    def warned(self, message: str) -> None: ...


class Stopping(Protocol):
    """Source of the signal that ends the run: `signal` is its number, or None."""

    signal: int | None


@dataclass
class NeverStopped:
    """`Stopping` for callers that handle no signals."""

    signal: int | None = None


class Interrupted(Exception):
    """Raised between two steps after a signal. All written files are complete."""


@dataclass(frozen=True)
class TrainSummary:
    """Result of a training. best: scores of model.safetensors; None without a finished epoch.

    original_accuracy: of the network's own head on these images, if it has these classes. misclassified: the most
    confident mistakes of the best network. seconds: by stage. cached: number of images in a cache of `cache_bytes`.
    """

    plan: TrainPlan
    history: Sequence[EpochMetrics]
    best: Scores | None
    original_accuracy: float | None
    unreadable: Sequence[Unreadable]
    seconds: dict[str, float]
    cached: int = 0
    cache_bytes: int = 0
    signal: int | None = None
    misclassified: Sequence[MisclassifiedRow] = ()

    @property
    def best_epoch(self) -> EpochMetrics | None:
        return next((row for row in reversed(self.history) if row.best), None)

    @property
    def price(self) -> float | None:
        """Price of CAM: accuracy of the original head minus that of the new one."""
        if self.best is None or self.original_accuracy is None:
            return None
        return self.original_accuracy - self.best.accuracy

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints and with which run.json begins."""
        plan, best, epoch = self.plan, self.best, self.best_epoch
        return {
            "state": "interrupted" if self.signal else "finished",
            "model": plan.model,
            "layer": plan.layer,
            "classes": list(plan.classes),
            "train_images": plan.train_images,
            "val_images": plan.val_images,
            "unreadable": len(self.unreadable),
            "unreadable_images": [{"image": one.source.path, "error": one.reason} for one in self.unreadable],
            "epochs": len(self.history),
            "best_epoch": epoch.epoch if epoch else None,
            "val_accuracy": round(best.accuracy, 6) if best else None,
            "val_loss": round(best.loss, 6) if best else None,
            "original_accuracy": _rounded(self.original_accuracy),
            "price_of_cam": _rounded(self.price),
            "per_class_accuracy": dict(zip(plan.classes, map(_rounded, best.per_class))) if best else None,
            "confusion": best.confusion.tolist() if best else None,
            "misclassified": list(self.misclassified),
            "cached_images": self.cached,
            "cache_bytes": self.cache_bytes,
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
            "output": plan.output,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
