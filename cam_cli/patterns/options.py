"""Options of the search for patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..declared_types import Names, names_of
from ..errors import CamxError
from ..gate_options import RunGateOptions
from ..images.annotations.names import AUTO, TRUTH_FORMATS
from ..options import EXPLANATION, GROUPS, INPUT, Flag, check

#: Covered patterns: those with a flag, or all.
FLAGGED, ALL = "flagged", "all"


@dataclass(frozen=True)
class PatternsOptions(RunGateOptions):
    """Classes, number of patterns, truth and covers, in addition to the gates. Raises `CamxError` for values out of
    range."""

    classes: Annotated[
        Names,
        Flag(
            "Search only the maps of this class, by name or index. Repeatable.",
            name="class",
            known="classes",
            panel=EXPLANATION,
            metavar="CLASS",
            repeatable=True,
            lines=True,
            example="cat",
        ),
    ] = names_of()
    patterns: Annotated[
        int | None,
        Flag(
            "Patterns per class, or auto: one for every 25 spots, at most 20, and similar ones joined.",
            panel=EXPLANATION,
            none="auto",
            min=1,
            max=200,
        ),
    ] = None
    min_images: Annotated[int, Flag("Fewest images of a pattern for flags and gates.", panel=GROUPS, min=1)] = 10
    truth: Annotated[
        str | None,
        Flag(
            "Boxes or masks of the objects, as for `camx evaluate`: patterns beside them are flagged.",
            panel=INPUT,
            example="truth.json",
            page="evaluate.md",
        ),
    ] = None
    truth_format: Annotated[
        str,
        Flag(f"Format of the truth: {', '.join((AUTO, *TRUTH_FORMATS))}.", panel=INPUT, choices=(AUTO, *TRUTH_FORMATS)),
    ] = AUTO
    check: Annotated[
        int | None,
        Flag(
            "Cover the spots of flagged patterns in N images each, run the network again, and compare the drop "
            "of the class score with that of covers elsewhere.",
            panel=EXPLANATION,
            min=2,
            metavar="N",
            example="50",
        ),
    ] = None
    cover: Annotated[
        Names,
        Flag(
            "Patterns that `check` covers: flagged, all, or class and number of one, such as 'cat 1'. Repeatable.",
            panel=EXPLANATION,
            metavar="PATTERN",
            repeatable=True,
        ),
    ] = names_of(FLAGGED)
    seed: Annotated[int, Flag("Seed of the clustering and of the covers elsewhere.", panel=EXPLANATION, min=0)] = 0

    def __post_init__(self) -> None:
        check(self)
        if self.check is None and self.cover != (FLAGGED,):
            raise CamxError(
                "`cover` chooses the patterns for `check`, but `check` is missing.",
                "Give `check` a number of images, too.",
                field="cover",
            )
