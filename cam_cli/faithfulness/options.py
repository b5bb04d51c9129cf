"""Options of an evaluation of faithfulness. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..cams.engine.options import MapOptions
from ..cams.engine.targets import Target
from ..cams.methods.names import METHOD_NAMES
from ..declared_types import Names, names_of
from ..errors import CamxError
from ..evaluation.faithful_scores import METRICS
from ..options import EXPLANATION, Flag, check


@dataclass(frozen=True)
class FaithfulOptions(MapOptions):
    """Methods and metrics of an evaluation. Raises `CamxError` for invalid or contradicting values.

    metrics: names of `faithful_scores.METRICS`. steps: number of steps in which cells are removed or inserted. draws:
    noisy copies of an image for `sensitivity`. target: class of the maps, one per image.
    """

    methods: Annotated[
        Names,
        Flag(
            "Methods to measure and rank, separated by commas: gradcam,layercam,eigencam.",
            panel=EXPLANATION,
            choices=METHOD_NAMES,
            results=True,
            page="evaluate.md",
        ),
    ] = names_of("gradcam")
    metrics: Annotated[
        Names,
        Flag(
            f"Metrics, separated by commas: {', '.join(METRICS)}.",
            panel=EXPLANATION,
            choices=tuple(METRICS),
            results=True,
            page="evaluate.md",
        ),
    ] = names_of("deletion", "insertion")
    steps: Annotated[
        int,
        Flag(
            "Number of steps in which deletion and insertion change the cells of the map.",
            panel=EXPLANATION,
            min=2,
            max=64,
            results=True,
        ),
    ] = 8
    draws: Annotated[
        int, Flag("Noisy copies of an image for sensitivity.", panel=EXPLANATION, min=1, max=1000, results=True)
    ] = 10
    target: Annotated[
        Target,
        Flag(
            "Class of the maps: predicted, label, or a class by index or name.",
            panel=EXPLANATION,
            parse=Target.parse,
            results=True,
        ),
    ] = Target()
    multi_label: Annotated[
        bool, Flag("Each class has its own probability (sigmoid).", panel=EXPLANATION, results=True)
    ] = False

    def __post_init__(self) -> None:
        check(self)
        for field in ("methods", "metrics"):
            values = getattr(self, field)
            if not values or len(set(values)) < len(values):
                raise CamxError(
                    f"`{field}` {','.join(values)!r} is empty or has a name twice.", "Give each name once.", field=field
                )
        if "dff" in self.methods:
            raise CamxError(
                "`methods=dff`: its maps show concepts, not a class whose score could change.",
                "Leave dff out.",
                field="methods",
            )
        if self.target.kind == "top" and self.target.top > 1:
            raise CamxError(
                f"`target` {self.target}: `camx evaluate` measures one map per method and image.",
                "Give `target=predicted`, `target=label` or a class.",
                field="target",
            )
