"""Options of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..declared_types import names_of
from ..gate_options import Bins, By, Confidence, FailIf, GroupsFile, MinGroup, Partial, Seed
from ..options import EXPLANATION, GATES, Flag, check


@dataclass(frozen=True)
class CompareOptions:
    """The maps, attributes and gates of a comparison."""

    on: Annotated[
        str,
        Flag(
            "Which maps are compared: those of each run's prediction, of label, or of one class (target:CLASS).",
            panel=EXPLANATION,
            metavar="WHICH",
        ),
    ] = "prediction"
    by: By = names_of()
    groups: GroupsFile = None
    bins: Bins = names_of()
    min_group: MinGroup = 30
    fail_if: FailIf = names_of()
    equivalent_within: Annotated[
        float | None,
        Flag(
            "Exit code 1 unless the accuracies are shown to be equal within this margin, such as 0.02.",
            panel=GATES,
            min=0.0001,
            max=0.9999,
            metavar="MARGIN",
            example="0.02",
        ),
    ] = None
    confidence: Confidence = 0.95
    seed: Seed = 0
    partial: Partial = False

    def __post_init__(self) -> None:
        check(self)
