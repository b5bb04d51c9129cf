"""Options of an export."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from ..declared_types import Names, names_of
from ..errors import CamxError
from ..options import BEHAVIOUR, EXPLANATION, OUTPUT, Flag, check

AUTO, OTSU = "auto", "otsu"
SHAPES = (AUTO, "box", "polygon", "mask", "point")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Formats, shapes, and selection of maps and parts. Raises `CamxError` for invalid values."""

    format: Annotated[
        Names,
        Flag("Formats, separated by commas: coco, yolo, label-studio, csv, masks.", panel=OUTPUT, page="export.md"),
    ] = names_of("coco")
    image_root: Annotated[str, Flag("Address before the names of images in Label Studio.", panel=OUTPUT)] = (
        "/data/local-files/?d="
    )
    shape: Annotated[
        str,
        Flag(
            "Shape of the parts: box, polygon, mask or point; auto takes the default of the format.",
            panel=EXPLANATION,
            choices=SHAPES,
        ),
    ] = AUTO
    threshold: Annotated[
        str,
        Flag(
            "Threshold of the maps: share of the peak, otsu (separate for each map), or auto (the one that "
            "`camx evaluate` chose for this run, else otsu).",
            panel=EXPLANATION,
        ),
    ] = AUTO
    parts: Annotated[
        str, Flag("Parts of each map: the largest, or all.", panel=EXPLANATION, choices=("largest", "all"))
    ] = "largest"
    min_area: Annotated[
        str, Flag("Leave out parts smaller than this share of the image: 0.5% or 0.005.", panel=EXPLANATION)
    ] = "0.1%"
    min_prob: Annotated[
        float, Flag("Leave out maps of classes below this probability.", panel=EXPLANATION, min=0, max=1)
    ] = 0.0
    method: Annotated[
        str | None, Flag("Method of the maps, if the run has several.", panel=EXPLANATION, example="gradcam")
    ] = None
    partial: Annotated[bool, Flag("Accept an unfinished run.", panel=BEHAVIOUR)] = False

    def __post_init__(self) -> None:
        check(self)
        if self.threshold not in (AUTO, OTSU):
            _share("threshold", self.threshold, "Give a share of the peak from 0 to below 1, otsu or auto.")
        _share("min_area", self.min_area, "Give a share of the image, such as 0.5% or 0.005.")

    @property
    def least_area(self) -> float:
        """Smallest share of the image of a part."""
        return _share("min_area", self.min_area, "")

    @property
    def fixed(self) -> float | None:
        """Fixed threshold; None for a computed one."""
        return None if self.threshold in (AUTO, OTSU) else _share("threshold", self.threshold, "")


def _share(field: str, text: str, hint: str) -> float:
    number = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)(\s*%)?\s*", text)
    value = float(number[1]) / (100 if number[2] else 1) if number else -1.0
    if not 0 <= value < 1:
        raise CamxError(f"`{field}` {text!r} is no share below 1.", hint, field=field)
    return value
