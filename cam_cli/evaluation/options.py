"""What an evaluation of localisation is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import CamxError
from ..images.annotations.formats import AUTO


@dataclass(frozen=True)
class LocaliseOptions:
    """truth: a file or folder of annotations. truth_format: of it, or auto. names: a CSV that says which class of the
    network a class of the truth is. threshold: of the boxes, as a share of the peak, or auto: the best one for the
    share `calibrate` of the images, which is held apart. by: attributes whose groups are measured, beside the class.
    fail_if: gates. min_group: smaller groups are shown and not judged. partial: take a run that is not finished.

    Raises `CamxError` for values out of range.
    """

    truth: str
    truth_format: str = AUTO
    names: str | None = None
    threshold: str = AUTO
    calibrate: float = 0.2
    by: tuple[str, ...] = ()
    fail_if: tuple[str, ...] = ()
    min_group: int = 10
    confidence: float = 0.95
    partial: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.calibrate < 1:
            raise CamxError(f"--calibrate {self.calibrate:g} is outside 0 … 1: the share of images held apart.")
        if not 0 < self.confidence < 1:
            raise CamxError(f"--confidence {self.confidence:g} is outside 0 … 1.")
