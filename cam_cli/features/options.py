"""Options of feature maps: the layer, and the drawn channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..cams.engine.options import ComputeOptions
from ..options import MODEL, PICTURE, Flag, check

SORTS = ("energy", "index")


@dataclass(frozen=True)
class ChannelChoice:
    """Drawn channels and their order. energy: highest mean square first, ties by index.

    `max_channels` is at least 1. Raises `CamxError` for invalid values.
    """

    sort: Annotated[
        str,
        Flag(
            "Order of the channels: energy (highest mean square first) or index.",
            panel=PICTURE,
            choices=SORTS,
            results=True,
        ),
    ] = "energy"
    max_channels: Annotated[
        int,
        Flag("Most channels on a sheet; the table has all channels.", panel=PICTURE, min=1, results=True),
    ] = 64

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReadOptions(ComputeOptions):
    """Layer and channels. `layer` auto: the first convolution. Raises `CamxError` for invalid values."""

    layer: Annotated[
        str,
        Flag(
            "Layer of the feature maps: auto (the first convolution that runs), or a name.",
            words=("auto",),
            known="layers",
            panel=MODEL,
            order=1,
            results=True,
        ),
    ] = "auto"
    choice: ChannelChoice = ChannelChoice()

    def __post_init__(self) -> None:
        check(self)
