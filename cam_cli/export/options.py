"""What an export is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import CamxError, nearest

AUTO, OTSU = "auto", "otsu"
Parts = Literal["largest", "all"]
SHAPES = (AUTO, "box", "polygon", "mask", "point")


@dataclass(frozen=True)
class ExportOptions:
    """formats: what is written. shape: how a part of a map is told; auto: as is usual
    in the format. threshold: a share of the peak, otsu (each map its
    own), or auto: the one that `camx evaluate` has found for this run, else otsu. parts: of a map, the largest or all.
    min_area: smaller parts are left out, as a share of the picture (0.5% or 0.005). min_prob: maps of less probable
    classes are left out. method: whose maps, where the run has several. image_root: what stands before the names of
    images in Label Studio. partial: take a run that is not finished.

    Raises `CamxError` for values that do not exist.
    """

    formats: tuple[str, ...] = ("coco",)
    shape: str = AUTO
    threshold: str = AUTO
    parts: str = "largest"
    min_area: str = "0.1%"
    min_prob: float = 0.0
    method: str | None = None
    image_root: str = "/data/local-files/?d="
    partial: bool = False

    def __post_init__(self) -> None:
        _require("--shape", self.shape, SHAPES)
        _require("--parts", self.parts, ("largest", "all"))
        if not 0 <= self.min_prob <= 1:
            raise CamxError(f"--min-prob {self.min_prob:g} is outside 0 … 1: it is a probability.")
        if self.threshold not in (AUTO, OTSU):
            _share("--threshold", self.threshold, "a share of the peak from 0 to below 1, otsu or auto")
        _share("--min-area", self.min_area, "a share of the picture, such as 0.5% or 0.005")

    @property
    def least_area(self) -> float:
        """The share of the picture below which a part is left out."""
        return _share("--min-area", self.min_area, "")

    @property
    def fixed(self) -> float | None:
        """The threshold that is given; None for one that is found."""
        return None if self.threshold in (AUTO, OTSU) else _share("--threshold", self.threshold, "")


def _require(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise CamxError(f"{flag} {value!r} is unknown.{nearest(value, known)} It is one of {', '.join(known)}.")


def _share(flag: str, text: str, wanted: str) -> float:
    number = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)(\s*%)?\s*", text)
    value = float(number[1]) / (100 if number[2] else 1) if number else -1.0
    if not 0 <= value < 1:
        raise CamxError(f"{flag} {text!r}: give {wanted}.")
    return value
