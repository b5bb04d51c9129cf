"""Results of an evaluation of localisation, as records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..gates import GateResult
from ..images.annotations.truth import Problems
from .cases import Ground
from .figures import ChosenThreshold, Measured
from .folder import ExplainedRun
from .marks import Marks
from .options import LocaliseOptions
from .scores import Scores

#: Attribute of every map: the class of the truth.
CLASS = "class"


@dataclass(frozen=True)
class Grouped:
    """Groups of one attribute with their figures."""

    by: str
    names: tuple[str, ...]
    measured: Measured


@dataclass(frozen=True)
class MapSet:
    """Maps of one method. scores: of maps of the truth's class. other: of maps of the predicted class, if the truth's
    class has none; measured separately. whole, groups: from `scores`."""

    method: str
    layer: str
    chosen: ChosenThreshold
    scores: Scores
    other: Scores
    whole: Measured
    whole_other: Measured
    groups: tuple[Grouped, ...]


@dataclass(frozen=True)
class Localisation:
    """Result of an evaluation. images: number with a score. thresholds: of the box curves. ground: truth. marks: truth
    of each image on a small grid."""

    run: ExplainedRun
    options: LocaliseOptions
    truth_format: str
    images: int
    sets: tuple[MapSet, ...]
    thresholds: np.ndarray
    ground: Ground
    marks: Marks
    problems: Problems
    notes: tuple[str, ...]
    gates: tuple[GateResult, ...]
