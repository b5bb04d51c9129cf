"""Options of the search for patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..declared_types import Names, names_of
from ..gate_options import RunGateOptions
from ..images.annotations.names import AUTO, TRUTH_FORMATS
from ..options import EXPLANATION, GROUPS, INPUT, Flag, check


@dataclass(frozen=True)
class PatternsOptions(RunGateOptions):
    """Classes, number of patterns and truth, beside the gates. Raises `CamxError` for values out of range."""

    classes: Annotated[
        Names,
        Flag(
            "Class whose maps are looked at, by name or index; all classes without it. Repeatable.",
            name="class",
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
            "Patterns of each class, or auto: one for every 25 spots, at most 20, joined where they are alike.",
            panel=EXPLANATION,
            none="auto",
            min=1,
            max=200,
        ),
    ] = None
    min_images: Annotated[
        int, Flag("Fewest images of a pattern that gets flags and is judged by gates.", panel=GROUPS, min=1)
    ] = 10
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
        str, Flag(f"{', '.join((AUTO, *TRUTH_FORMATS))}.", panel=INPUT, choices=(AUTO, *TRUTH_FORMATS))
    ] = AUTO
    seed: Annotated[int, Flag("Seed of the clustering.", panel=EXPLANATION, min=0)] = 0

    def __post_init__(self) -> None:
        check(self)
