"""Options of the drawn files of a run: kinds of files, size, colours, format."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Annotated

from ..declared_types import Names, names_of
from ..errors import CamxError
from ..images.options import AS_MODEL, LEAST_SIDE, ORIGINAL, CanvasSize, read_canvas_size
from ..maps.colormaps import COLORMAPS
from ..maps.thresholds import HALF
from ..options import PICTURE, Flag, check

#: The keys of `savers.SAVERS` without panels. Spots of all images are in one file.
SAVED = ("overlay", "heatmap", "array", "mask")
SPOTS = "spots"
FORMATS = ("png", "jpg", "webp")
EVEN, HEAT = OPACITIES = ("even", "heat")
#: The keys of `marks.MARKS`.
DRAWN = ("box", "contour")
#: The keys of `panel.PARTS`.
PANEL = ("image", "overlay", "map")
#: Values of `scale`: the raw value with the strongest colour is the peak of each map, or one for all maps of a method.
EACH, RUN = "image", "run"
#: Smallest threshold of a box: at 0 the box would be the whole image.
LEAST = 0.01


def _raw_value(value: float) -> float:
    if not 0 < value < inf:
        raise ValueError
    return value


def _scale(text: str) -> float | str:
    if text in (EACH, RUN):
        return text
    try:
        return _raw_value(float(text))
    except ValueError:
        raise ValueError(f"give {EACH}, {RUN} or a raw value above 0") from None


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
    """Options of the drawn files of a run.

    The pipeline fills `evaluated`, the thresholds by method if `box_threshold` is a run folder, and `scales`, the
    strongest raw value by method if all maps of a run share one. Raises `CamxError` for invalid values.
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
            "Long side of the overlay in pixels (never enlarged), 512! (small images are, too), 'original' or 'model'.",
            panel=PICTURE,
            words=(ORIGINAL, AS_MODEL),
            parse=read_canvas_size,
            results=True,
        ),
    ] = 512
    colormap: Annotated[str, Flag(f"{', '.join(COLORMAPS)}.", panel=PICTURE, choices=COLORMAPS, results=True)] = "turbo"
    alpha: Annotated[float, Flag("Opacity of the heatmap over the image, 0 to 1.", panel=PICTURE, results=True)] = 0.5
    format: Annotated[str, Flag("png, jpg or webp.", panel=PICTURE, choices=FORMATS, results=True)] = "png"
    box_threshold: Annotated[
        float | str,
        Flag(
            "Smallest share of the peak that belongs to the mask, and to the box of the largest part; or the output "
            "of a run for which `camx evaluate` chose it.",
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
            "even: `alpha` everywhere; heat: from 0 without heat up to `alpha` at the peak.",
            panel=PICTURE,
            choices=OPACITIES,
            results=True,
        ),
    ] = EVEN
    min_heat: Annotated[
        float,
        Flag("Show no colour below this share of the peak.", panel=PICTURE, min=0, max=1, results=True),
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
    scale: Annotated[
        float | str,
        Flag(
            "Raw value with the strongest colour: image (the peak of each map), run (one for all maps of a method, so "
            "that a colour means the same in every overlay), or a number.",
            words=(EACH, RUN),
            panel=PICTURE,
            parse=_scale,
            results=True,
            example=RUN,
            page="results.md",
        ),
    ] = EACH
    panel: Annotated[
        Names,
        Flag(
            "Also write one file per map with these parts side by side above a caption: image, overlay, map.",
            panel=PICTURE,
            choices=PANEL,
            results=True,
            example="image,overlay,map",
            page="results.md",
        ),
    ] = names_of()
    evaluated: tuple[tuple[str, BoxThreshold], ...] = ()
    scales: tuple[tuple[str, float], ...] = ()

    @property
    def plain(self) -> bool:
        """Whether a device can draw the overlay: one opacity, the scale of each map, no lines and no panel."""
        alone = not self.draw and not self.panel
        return self.opacity == EVEN and self.min_heat == 0 and self.scale == EACH and alone

    @property
    def given_scale(self) -> float | None:
        """Raw value with the strongest colour in every map, if `scale` is a number."""
        return None if isinstance(self.scale, str) else self.scale

    def scale_of(self, method: str) -> float | None:
        """Raw value with the strongest colour in maps of a method; None for the peak of each, or if not yet known."""
        return dict(self.scales).get(method, self.given_scale)

    def threshold_of(self, method: str) -> BoxThreshold:
        """Threshold of masks and boxes of a method's maps. Raises `CamxError` for a run folder that was not read."""
        if found := dict(self.evaluated).get(method):
            return BoxThreshold(max(LEAST, found.value), found.calibrated)
        if isinstance(self.box_threshold, str):
            raise CamxError(
                f"`box_threshold` {self.box_threshold!r} is a folder, which only a run over images reads.",
                "Give a share of the peak.",
                field="box_threshold",
            )
        return BoxThreshold(self.box_threshold)

    def __post_init__(self) -> None:
        check(self)
        if not 0 <= self.alpha <= 1:
            raise CamxError(f"`alpha` {self.alpha} is out of range.", "Give an opacity from 0 to 1.", field="alpha")
        try:
            object.__setattr__(self, "scale", _scale(str(self.scale)))
        except ValueError as error:
            raise CamxError(f"`scale` {self.scale!r}: {error}.", field="scale") from None
        if isinstance(self.size, str):
            try:
                size = read_canvas_size(self.size)
            except ValueError as error:
                raise CamxError(f"`size` {self.size!r}: {error}.", field="size") from None
            object.__setattr__(self, "size", size)
        if isinstance(self.size, int) and self.size < LEAST_SIDE:
            raise CamxError(
                f"`size` {self.size} is too small for an overlay.",
                f"Give {LEAST_SIDE} pixels or more, 'original' or 'model'.",
                field="size",
            )
