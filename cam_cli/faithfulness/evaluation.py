"""Results of one image: maps of methods and baselines, with scores and curves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..images.picture import Picture
from ..maps.explanation import Prediction, TrueClass


@dataclass(frozen=True)
class ScoredMap:
    """Map of a method or baseline for one class. values: raw float32 h×w on the common grid. shown: False for a blank
    map, which has no scores. scores, curves: by name, without undefined ones."""

    method: str
    layer: str
    prediction: Prediction
    values: np.ndarray
    shown: bool = True
    scores: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """One image with its top classes and maps; the baselines are last. problem: reason why there are no maps, or ""."""

    picture: Picture
    ranking: tuple[Prediction, ...] = ()
    maps: tuple[ScoredMap, ...] = ()
    truth: TrueClass | None = None
    correct: bool | None = None
    problem: str = ""
