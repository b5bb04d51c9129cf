"""Options of an audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ..declared_types import Names, names_of
from ..gate_options import GroupOptions
from ..options import GATES, GROUPS, Flag, check


@dataclass(frozen=True)
class AuditOptions(GroupOptions):
    """Metrics, reference groups and burden of proof, in addition to groups and gates."""

    cross: Annotated[bool, Flag("Also compare the intersections of the attributes.", panel=GROUPS)] = False
    reference: Annotated[
        str | None,
        Flag(
            "Compare each group only with this one, not with all others.", panel=GROUPS, metavar="GROUP", example="men"
        ),
    ] = None
    cluster: Annotated[
        str | None,
        Flag(
            "Column of images that belong together, such as patient: camx does not treat them as independent.",
            panel=GROUPS,
            metavar="COLUMN",
            example="patient",
        ),
    ] = None
    metrics: Annotated[
        Names,
        Flag(
            "Metrics in addition to accuracy, prob, cam_border and cam_area.",
            name="metric",
            panel=GATES,
            metavar="A,B",
            example="recall,ece",
        ),
    ] = names_of()
    positive: Annotated[
        str | None,
        Flag(
            "Class for recall and precision; by default they are means over all classes.",
            known="classes",
            panel=GATES,
            metavar="CLASS",
            example="cat",
        ),
    ] = None
    prove: Annotated[
        Literal["harm", "parity"],
        Flag(
            "Burden of proof: harm fails a gate if the whole interval lies beyond the limit; parity fails it unless "
            "the whole interval lies within.",
            panel=GATES,
        ),
    ] = "harm"

    def __post_init__(self) -> None:
        check(self)
