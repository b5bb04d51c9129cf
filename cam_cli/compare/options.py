"""Options of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..gate_options import GroupOptions
from ..options import EXPLANATION, GATES, Flag, check


@dataclass(frozen=True)
class CompareOptions(GroupOptions):
    """The maps of a comparison and the margin within which accuracies are equal, beside its groups and gates."""

    on: Annotated[
        str,
        Flag(
            "Which maps are compared: those of each run's prediction, of label, or of one class (target:CLASS).",
            words=("prediction", "label", "target:"),
            panel=EXPLANATION,
            metavar="WHICH",
        ),
    ] = "prediction"
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

    def __post_init__(self) -> None:
        check(self)
