"""Options of every command that compares groups and has gates; imports no numpy, so that help is quick."""

from __future__ import annotations

from typing import Annotated

from .declared_types import Names
from .options import GATES, GROUPS, Flag

By = Annotated[
    Names,
    Flag(
        "Attributes to look at, such as sex,site: columns of the labels file or of `groups`, and class, brightness, "
        "aspect, size.",
        panel=GROUPS,
        metavar="A,B",
        example="sex,site",
    ),
]
GroupsFile = Annotated[
    str | None,
    Flag("CSV with the column image and one column per attribute.", panel=GROUPS, metavar="FILE", example="groups.csv"),
]
Bins = Annotated[
    Names,
    Flag(
        "Groups of a column of numbers: age=18,40,65 by edges, age=q4 by quarters. Repeatable.",
        panel=GROUPS,
        metavar="COLUMN=BINS",
        repeatable=True,
        example="age=18,40,65",
    ),
]
MinGroup = Annotated[int, Flag("Smallest group that gates judge; smaller ones are shown only.", panel=GROUPS, min=1)]

FailIf = Annotated[
    Names,
    Flag(
        "Exit code 1 if the data prove this: METRIC, one of > >= < <=, and a number or a percentage, such as "
        "'accuracy_gap > 0.04 by sex'. Repeatable.",
        panel=GATES,
        metavar="GATE",
        repeatable=True,
        example="accuracy_gap > 0.04 by sex",
    ),
]
Confidence = Annotated[float, Flag("Confidence level of the intervals.", panel=GATES, min=0.5, max=0.9999)]
Seed = Annotated[int, Flag("Seed of the bootstrap.", panel=GATES, min=0)]
Partial = Annotated[bool, Flag("Accept a run that is not finished.", panel=GATES)]
