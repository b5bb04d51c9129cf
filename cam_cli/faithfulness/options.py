"""Options of an evaluation of faithfulness; imports no torch."""

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
    """Which methods are measured by what. Raises `CamxError` for values that do not exist or do not go together.

    metrics: names of `faithful_scores.METRICS`. steps: parts in which the cells of the grid go or come. draws: noisy
    copies of an image for `sensitivity`. `target`: the class of the maps, one per image.
    """

    methods: Annotated[
        Names,
        Flag(
            "Methods to measure and to rank, with commas: gradcam,layercam,eigencam.",
            panel=EXPLANATION,
            choices=METHOD_NAMES,
            results=True,
            page="evaluate.md",
        ),
    ] = names_of("gradcam")
    metrics: Annotated[
        Names,
        Flag(
            f"{', '.join(METRICS)}; several with commas.",
            panel=EXPLANATION,
            choices=tuple(METRICS),
            results=True,
            page="evaluate.md",
        ),
    ] = names_of("deletion", "insertion")
    steps: Annotated[
        int,
        Flag("Parts in which the cells of the map go or come.", panel=EXPLANATION, min=2, max=64, results=True),
    ] = 8
    draws: Annotated[
        int, Flag("Noisy copies of a picture for sensitivity.", panel=EXPLANATION, min=1, max=1000, results=True)
    ] = 10
    target: Annotated[
        Target,
        Flag("predicted, label, or a class by index or name.", panel=EXPLANATION, parse=Target.parse, results=True),
    ] = Target()
    multi_label: Annotated[
        bool, Flag("Each class has a probability of its own (sigmoid).", panel=EXPLANATION, results=True)
    ] = False

    def __post_init__(self) -> None:
        check(self)
        for field in ("methods", "metrics"):
            values = getattr(self, field)
            if not values or len(set(values)) < len(values):
                raise CamxError(f"`{field}` {','.join(values)!r} is empty or names one twice.", field=field)
        if "dff" in self.methods:
            raise CamxError(
                "`methods=dff`: its maps are of concepts, not of a class whose score could change.",
                "Leave it out.",
                field="methods",
            )
        if self.target.kind == "top" and self.target.top > 1:
            raise CamxError(
                f"`target` {self.target}: one map per method and image is measured.",
                "Give `target=predicted`, `target=label` or a class.",
                field="target",
            )
