"""Options for reading and resizing images. Imports neither numpy nor Pillow."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from ..errors import CamxError
from ..options import INPUT, Flag, check
from ..parsers import number, whole_number
from ..sentences import counted

CropMode = Literal["center", "squash", "border"]
CROP_MODES: tuple[CropMode, ...] = ("center", "squash", "border")
#: Methods of resizing: the keys of `geometry.INTERPOLATIONS`.
RESAMPLINGS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")

#: Size of the image under an overlay: a long side in pixels, `N!` for smaller images too, `original`, or `model`, the
#: size of the network's input.
CanvasSize = int | str
ORIGINAL, AS_MODEL = "original", "model"
#: Smallest long side of an overlay, and the largest to which images are enlarged.
LEAST_SIDE, MOST_ENLARGED = 16, 4096

#: Decoding of JPEG files: exact, at a smaller sufficient scale, or on the device of the network.
DECODINGS = ("exact", "draft", "device")

#: Largest image in pixels, checked in the header: twice the size at which Pillow suspects a decompression bomb.
MAX_PIXELS = 178_956_970

EXIF = ("apply", "ignore")
LAYOUTS = ("auto", "hwc", "chw")
FIRST, ALL = "first", "all"


@dataclass(frozen=True)
class Levels:
    """Scaling of 16-bit, 32-bit and float levels to 0 … 255.

    kind: `auto`, by type and content; `full`, by the type; `clip`, cut at 0 and 255 as the loaders of timm and
    torchvision do; `range`, from `low` to `high`, which are levels or percentiles.
    """

    kind: Literal["auto", "full", "clip", "range"] = "auto"
    low: float = 0.0
    high: float = 0.0
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Levels:
        """Reads `auto`, `full`, `clip`, `LOW,HIGH` or `LOW,HIGH%`. Raises `ValueError`."""
        if text in ("auto", "full", "clip"):
            return cls(text)  # type: ignore[arg-type]
        words = [word.strip() for word in text.split(",")]
        percent = words[-1].endswith("%")
        if len(words) != 2:
            raise ValueError("give auto, full, clip, two levels (0,4095) or two percentiles (1,99%)")
        low, high = (number(word.removesuffix("%"), float) for word in words)
        if not low < high < float("inf") or low == float("-inf"):
            raise ValueError("the second level must be larger than the first")
        if percent and not 0 <= low < high <= 100:
            raise ValueError("percentiles lie between 0 and 100")
        return cls("range", low, high, percent)

    def __str__(self) -> str:
        return self.kind if self.kind != "range" else f"{self.low:g},{self.high:g}" + "%" * self.percent


def read_canvas_size(text: str) -> CanvasSize:
    """Reads a long side in pixels, `N!`, `original` or `model`. Raises `ValueError`."""
    if text in (ORIGINAL, AS_MODEL):
        return text
    side = whole_number(text.removesuffix("!"))
    if side is None:
        raise ValueError(
            f"give a number of pixels, such as 512, or 512! to enlarge small images, {ORIGINAL} or {AS_MODEL}"
        )
    if not text.endswith("!"):
        return side
    if not LEAST_SIDE <= side <= MOST_ENLARGED:
        raise ValueError(f"give {LEAST_SIDE}! to {MOST_ENLARGED}!")
    return f"{side}!"


def enlarged_side(canvas: CanvasSize) -> int | None:
    """Returns the long side to which smaller images are enlarged, 512 for `512!`; None if they are not."""
    return int(canvas[:-1]) if isinstance(canvas, str) and canvas.endswith("!") else None


def _frames(text: str) -> str:
    if text not in (FIRST, ALL) and not whole_number(text):
        raise ValueError("give first, all, or the number of a frame from 1")
    return FIRST if text == "1" else text


def _bands(text: str) -> tuple[int, ...]:
    bands = [whole_number(word) or 0 for word in text.split(",")]
    if not all(bands):
        raise ValueError("give numbers of bands from 1, such as 4,3,2")
    return tuple(bands)


@dataclass(frozen=True)
class PixelOptions:
    """Conversion of the pixels of a file. `bands` None selects grey or RGB.

    Raises `CamxError` for invalid values.
    """

    levels: Annotated[
        Levels,
        Flag(
            "Levels of 16 bits, 32 bits and float become 0 to 255: auto (by type and content), full (by the type), "
            "clip (as timm and torchvision do), LOW,HIGH, or percentiles LOW,HIGH%.",
            words=("auto", "full", "clip"),
            panel=INPUT,
            order=1,
            parse=Levels.parse,
            results=True,
            page="pixels.md",
        ),
    ] = Levels()
    frames: Annotated[
        str,
        Flag(
            "GIF, TIFF, WebP, PNG and AVIF files with several frames: first, all (a row for each, a.tif#2), or N.",
            words=("first", "all"),
            panel=INPUT,
            order=1,
            parse=_frames,
            page="pixels.md",
        ),
    ] = FIRST
    bands: Annotated[
        tuple[int, ...] | None,
        Flag(
            "Bands of the file that the network gets, in this order, from 1.",
            panel=INPUT,
            order=1,
            parse=_bands,
            results=True,
            example="4,3,2",
            page="pixels.md",
        ),
    ] = None
    exif: Annotated[
        str,
        Flag(
            "Turn images upright by their EXIF data (apply), or take them as they are stored (ignore).",
            panel=INPUT,
            order=1,
            choices=EXIF,
            results=True,
            page="pixels.md",
        ),
    ] = "apply"
    array_layout: Annotated[
        str,
        Flag(
            "Axes of .npy arrays: hwc, chw, or auto (by the number of channels).",
            panel=INPUT,
            order=1,
            choices=LAYOUTS,
            results=True,
            page="pixels.md",
        ),
    ] = "auto"

    def __post_init__(self) -> None:
        check(self)

    def check_channels(self, channels: int) -> None:
        """Raises `CamxError` if the number of `bands` is not that of the network's channels."""
        count = len(self.bands or ())
        if count and count != channels and not {count, channels} <= {1, 3}:
            raise CamxError(
                f"`bands` names {counted(count, 'band')}, but the network takes {counted(channels, 'channel')}.",
                "Give one band for each channel.",
                field="bands",
            )

    def fingerprint(self) -> dict[str, Any]:
        """Non-default values on which results depend. Not `frames`, which only selects images."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "frames"}
        changed = {name: value for name, value in values.items() if value != getattr(PixelOptions(), name)}
        return {name: str(value) if isinstance(value, Levels) else value for name, value in changed.items()}
