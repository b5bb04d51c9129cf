"""Options of feature maps: the layer that is read, and the channels that are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..cams.engine.options import ComputeOptions
from ..options import MODEL, PICTURE, Flag, check

SORTS = ("energy", "index")


@dataclass(frozen=True)
class ChannelChoice:
    """Channels that are shown, and their order. energy: highest mean square first, ties by index.

    `max_channels` counts from 1. Raises `CamxError` for values that do not exist.
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
        Flag("Channels on a sheet; the table has all of them.", panel=PICTURE, min=1, results=True),
    ] = 64

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReadOptions(ComputeOptions):
    """Layer and channels. `layer` auto: the first convolution. Raises `CamxError` for bad values."""

    layer: Annotated[
        str,
        Flag(
            "The layer to look at: auto (the first convolution that runs), or a name.",
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
