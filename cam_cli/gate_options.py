"""Options of commands with groups and gates. Imports no numpy, so that help is fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .declared_types import Names, names_of
from .options import GATES, GROUPS, Flag

MinGroup = Annotated[int, Flag("Smallest group that gates judge; smaller ones are only shown.", panel=GROUPS, min=1)]


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """Options of every command that judges by gates."""

    fail_if: Annotated[
        Names,
        Flag(
            "Exit with code 1 if the data prove this condition: METRIC, one of > >= < <=, and a number or "
            "percentage, such as 'accuracy_gap > 0.04 by sex'. Repeatable.",
            panel=GATES,
            metavar="GATE",
            repeatable=True,
            lines=True,
            example="accuracy_gap > 0.04 by sex",
        ),
    ] = names_of()
    confidence: Annotated[float, Flag("Confidence level of the intervals.", panel=GATES, min=0.5, max=0.9999)] = 0.95


@dataclass(frozen=True, kw_only=True)
class RunGateOptions(GateOptions):
    """Options of every command that judges a run folder."""

    partial: Annotated[bool, Flag("Accept an unfinished run.", panel=GATES)] = False


@dataclass(frozen=True, kw_only=True)
class GroupOptions(RunGateOptions):
    """Options of every command that compares groups of images by their attributes."""

    by: Annotated[
        Names,
        Flag(
            "Attributes to compare, such as sex,site: columns of the labels file or of `groups`, and class, "
            "brightness, aspect, size.",
            panel=GROUPS,
            metavar="A,B",
            example="sex,site",
        ),
    ] = names_of()
    groups: Annotated[
        str | None,
        Flag(
            "CSV with the column image and one column per attribute.",
            panel=GROUPS,
            metavar="FILE",
            example="groups.csv",
        ),
    ] = None
    bins: Annotated[
        Names,
        Flag(
            "Group a column of numbers: age=18,40,65 by edges, age=q4 into quarters. Repeatable.",
            panel=GROUPS,
            metavar="COLUMN=BINS",
            repeatable=True,
            lines=True,
            example="age=18,40,65",
        ),
    ] = names_of()
    min_group: MinGroup = 30
    seed: Annotated[int, Flag("Seed of the bootstrap.", panel=GATES, min=0)] = 0
