"""Options of masks: the pixels of an image for which a segmentation is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..errors import CamxError
from ..options import EXPLANATION, Flag, check

#: A mask of one object, or a class per level.
OBJECT, CLASSES = "object", "classes"


@dataclass(frozen=True)
class MaskOptions:
    """Masks of a run. target_mask: their folder; None for no masks. mask_levels: the meaning of their levels.

    Raises `CamxError` for values that do not go together.
    """

    target_mask: Annotated[
        str | None,
        Flag(
            "Folder of PNG masks, by the names of the images: a segmentation is explained for their pixels.",
            panel=EXPLANATION,
            results=True,
            page="tasks.md",
            example="masks",
        ),
    ] = None
    mask_levels: Annotated[
        str,
        Flag(
            "Levels of these masks: object (all but 0 count, for every class) or classes (indices; 255 is none).",
            panel=EXPLANATION,
            choices=(OBJECT, CLASSES),
            results=True,
            page="tasks.md",
        ),
    ] = OBJECT

    def __post_init__(self) -> None:
        check(self)
        if self.target_mask == "":
            raise CamxError("`target_mask` is empty.", "Give a folder, or leave it out.", field="target_mask")
        if self.target_mask is None and self.mask_levels != OBJECT:
            raise CamxError(
                f"`mask_levels={self.mask_levels}` needs masks.", "Give `target_mask` too.", field="mask_levels"
            )
