"""Options of the images of a run: kinds of files, size, colours, format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..declared_types import Names, names_of
from ..errors import CamxError
from ..images.options import CanvasSize
from ..maps.colormaps import COLORMAPS
from ..maps.thresholds import HALF
from ..options import PICTURE, Flag, check

#: The keys of `drawing.SAVERS`; and spots, which all images keep in one file.
SAVED = ("overlay", "heatmap", "array", "mask")
SPOTS = "spots"
FORMATS = ("png", "jpg", "webp")
EVEN, HEAT = OPACITIES = ("even", "heat")
#: The keys of `marks.MARKS`.
DRAWN = ("box", "contour")
#: Smallest threshold of a box: at 0 everything would belong to it.
LEAST = 0.01


def _share_or_folder(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        if text:
            return text
        raise ValueError("give a share of the peak, or the output of a run") from None


@dataclass(frozen=True)
class BoxThreshold:
    """Threshold of masks and boxes. `value`: a share of the peak; `calibrated`: chosen on images with a truth."""

    value: float
    calibrated: bool = False


@dataclass(frozen=True)
class Rendering:
    """Look of a map. `size`: long side of the overlay, `original` or `model`; `alpha`: share of the colour.

    evaluated: thresholds by method, where `box_threshold` is the folder of a run; filled by the pipeline. Raises
    `CamxError` for values that do not exist.
    """

    save: Annotated[
        Names,
        Flag(
            "Files per image: overlay, heatmap, array, mask; and spots, for `camx patterns`. Several with commas.",
            panel=PICTURE,
            choices=(*SAVED, SPOTS),
            results=True,
        ),
    ] = names_of("overlay")
    size: Annotated[
        CanvasSize,
        Flag(
            "Long side of the overlay in pixels (never enlarged), 'original' or 'model'.", panel=PICTURE, results=True
        ),
    ] = 512
    colormap: Annotated[str, Flag(f"{', '.join(COLORMAPS)}.", panel=PICTURE, choices=COLORMAPS, results=True)] = "turbo"
    alpha: Annotated[float, Flag("Opacity of the heatmap over the image, 0 to 1.", panel=PICTURE, results=True)] = 0.5
    format: Annotated[str, Flag("png, jpg or webp.", panel=PICTURE, choices=FORMATS, results=True)] = "png"
    box_threshold: Annotated[
        float | str,
        Flag(
            "Share of the peak from which on a place belongs to the mask, and to the box of the largest part; or the "
            "output of a run for which `camx evaluate` has chosen it.",
            panel=PICTURE,
            min=LEAST,
            max=1.0,
            parse=_share_or_folder,
            results=True,
            page="evaluate.md",
        ),
    ] = HALF
    opacity: Annotated[
        str,
        Flag(
            "even: `alpha` everywhere; heat: it grows with the heat up to `alpha`, and the image stays as it is where "
            "none is.",
            panel=PICTURE,
            choices=OPACITIES,
            results=True,
        ),
    ] = EVEN
    min_heat: Annotated[
        float,
        Flag("No colour for what is below this share of the peak.", panel=PICTURE, min=0, max=1, results=True),
    ] = 0.0
    draw: Annotated[
        Names,
        Flag(
            "Lines over the overlay at `box_threshold`: box (of the largest part), contour (of all parts).",
            panel=PICTURE,
            choices=DRAWN,
            results=True,
            example="contour",
        ),
    ] = names_of()
    evaluated: tuple[tuple[str, BoxThreshold], ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the colours have one opacity and no lines over them, as those that a device draws."""
        return self.opacity == EVEN and self.min_heat == 0 and not self.draw

    def threshold_of(self, method: str) -> BoxThreshold:
        """The threshold of masks and boxes of a method's maps. Raises `CamxError` for a folder that was not read."""
        if found := dict(self.evaluated).get(method):
            return BoxThreshold(max(LEAST, found.value), found.calibrated)
        if isinstance(self.box_threshold, str):
            raise CamxError(
                f"`box_threshold` {self.box_threshold!r} is no share of the peak.",
                "Give a number.",
                field="box_threshold",
            )
        return BoxThreshold(self.box_threshold)

    def __post_init__(self) -> None:
        check(self)
        if not 0 <= self.alpha <= 1:
            raise CamxError(f"`alpha` {self.alpha} is outside 0 … 1: the opacity of the heatmap.", field="alpha")
        if isinstance(self.size, int) and self.size < 16:
            raise CamxError(
                f"`size` {self.size} is too small to see anything.",
                "Give 16 pixels or more, 'original' or 'model'.",
                field="size",
            )
