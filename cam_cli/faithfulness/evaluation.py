"""Results of one image: maps of methods and of the baselines, with scores and curves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..images.picture import Picture
from ..maps.explanation import Prediction, TrueClass


@dataclass(frozen=True)
class ScoredMap:
    """The map of a method, or of a baseline, for one class. values: float32 h×w on the common grid, raw. shown: whether
    there is anything to see; without it there are no scores. scores, curves: by name, without those not defined."""

    method: str
    layer: str
    prediction: Prediction
    values: np.ndarray
    shown: bool = True
    scores: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """One image with its best classes and its maps, those of the baselines last. `problem`: why there is nothing."""

    picture: Picture
    ranking: tuple[Prediction, ...] = ()
    maps: tuple[ScoredMap, ...] = ()
    truth: TrueClass | None = None
    correct: bool | None = None
    problem: str = ""
