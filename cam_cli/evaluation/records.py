"""Results of an evaluation of localisation, as records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..gates import GateResult
from ..images.annotations.truth import Problems
from .cases import Ground
from .figures import Chosen, Measured
from .folder import ExplainedRun
from .marks import Marks
from .options import LocaliseOptions
from .scores import Scores

#: The attribute that every map has: the class of the truth.
CLASS = "class"


@dataclass(frozen=True)
class Grouped:
    """The groups of one attribute, and their figures."""

    by: str
    names: tuple[str, ...]
    measured: Measured


@dataclass(frozen=True)
class MapSet:
    """The maps of one method. `scores`: of maps of the truth's own class; `other`: where there is none, of maps of the
    predicted class, which are measured apart. `whole` and `groups` are of the former."""

    method: str
    layer: str
    chosen: Chosen
    scores: Scores
    other: Scores
    whole: Measured
    whole_other: Measured
    groups: tuple[Grouped, ...]


@dataclass(frozen=True)
class Localisation:
    """Result of an evaluation. `images`: number with a score; `thresholds`: those of the box curves; `ground`: the
    truth; `marks`: that of each image on a small grid."""

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
