"""Options of an evaluation of localisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..declared_types import Names, names_of
from ..errors import CamxError
from ..gate_options import MinGroup, RunGateOptions
from ..images.annotations.names import AUTO, TRUTH_FORMATS
from ..options import EXPLANATION, GROUPS, INPUT, Flag, check


@dataclass(frozen=True, kw_only=True)
class LocaliseOptions(RunGateOptions):
    """Truth, box threshold and groups, in addition to the gates. Raises `CamxError` for invalid values."""

    truth: Annotated[
        str | None,
        Flag(
            "Boxes or masks: a COCO file, a folder of VOC, YOLO or mask files, or a CSV with image,label,x0,y0,x1,y1.",
            panel=INPUT,
            example="truth.json",
            page="evaluate.md",
        ),
    ] = None
    truth_format: Annotated[
        str,
        Flag(f"Format of the truth: {', '.join((AUTO, *TRUTH_FORMATS))}.", panel=INPUT, choices=(AUTO, *TRUTH_FORMATS)),
    ] = AUTO
    names: Annotated[
        str | None,
        Flag(
            "CSV truth,model with the class of the network for each class of the truth.",
            name="names",
            panel=INPUT,
            example="names.csv",
        ),
    ] = None
    threshold: Annotated[
        str,
        Flag(
            "Box threshold: a share of the peak, or auto (the best one on held-out images).",
            panel=EXPLANATION,
        ),
    ] = AUTO
    calibrate: Annotated[
        float, Flag("Share of the images to hold out for the choice of the threshold.", panel=EXPLANATION)
    ] = 0.2
    by: Annotated[
        Names,
        Flag("Attributes whose groups are measured in addition to the classes, separated by commas.", panel=GROUPS),
    ] = names_of()
    min_group: MinGroup = 10

    def __post_init__(self) -> None:
        check(self)
        if not 0 < self.calibrate < 1:
            raise CamxError(
                f"`calibrate` {self.calibrate:g} must lie between 0 and 1.",
                "Give a share such as 0.2.",
                field="calibrate",
            )
