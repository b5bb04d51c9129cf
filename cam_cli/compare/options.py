"""Options of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..gate_options import GroupOptions
from ..options import EXPLANATION, GATES, Flag, check


@dataclass(frozen=True)
class CompareOptions(GroupOptions):
    """Compared maps and margin of equivalence, in addition to groups and gates."""

    on: Annotated[
        str,
        Flag(
            "Maps to compare: of each run's prediction, of the label, or of one class (target:CLASS).",
            words=("prediction", "label", "target:"),
            panel=EXPLANATION,
            metavar="WHICH",
        ),
    ] = "prediction"
    equivalent_within: Annotated[
        float | None,
        Flag(
            "Exit with code 1 unless the accuracies are proven equal within this margin, such as 0.02.",
            panel=GATES,
            min=0.0001,
            max=0.9999,
            metavar="MARGIN",
            example="0.02",
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self)
