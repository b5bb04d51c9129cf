"""Rows of the journal `manifest.jsonl`: every field with its type, unit and range.

`docs/results.md` is generated from these comments (`python -m tools.results_page`). The reader of a run folder ignores
lines of another shape, and counts them as damaged.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final, Literal, TypedDict, cast

from .answer_rows import AnswerRow
from .caption_rows import CaptionRow
from .pixels_row import PixelsRow
from .shapes import Length, Range, check_of, parse_json
from .units import Count, Pixels, Share

OK: Final = "ok"
FAILED: Final = "failed"
BLANK: Final = "blank"

#: Left, top, right and bottom.
Box = Annotated[list[Share], Length(4)]
ThresholdFrom = Literal["fixed", "calibrated"]


class Prediction(TypedDict):
    """A class and its probability."""

    #: Index of the class in the output of the network, from 0.
    index: Count
    #: Name of the class.
    name: str
    #: Softmax of the logits; with `--multi-label` the sigmoid of the class's logit. For a segmentation: the share of
    #: the pixels predicted as the class; for a detector: the score of the best box of the class.
    prob: Share


class _EverySketch(TypedDict):
    #: Columns of the sketch.
    width: Annotated[int, Range(1, 4096)]
    #: Rows of the sketch.
    height: Annotated[int, Range(1, 4096)]
    #: One byte per cell in base64, row by row from the upper left; 255 is the peak of the map.
    values: str


class Sketch(_EverySketch, total=False):
    """A map over the whole image in at most 24 × 24 cells; each cell is the mean over its area."""

    #: Whether the cells have a sign: then 128 is zero, 255 the strongest evidence for the class and 0 (or 1) the
    #: strongest against it. Without this field the cells hold the magnitude.
    signed: bool


class Channels(TypedDict):
    """Numbers of the feature maps of a layer, one per channel, in the order of the network."""

    #: Mean over the positions.
    mean: list[float]
    #: Largest value.
    maximum: list[float]
    #: Mean of the squares over the positions.
    energy: list[float]
    #: Share of the positions with a value of zero or less; 1 for a channel that is nowhere positive.
    dead: list[Share]


class _EveryComponent(TypedDict):
    #: The share of the peak.
    threshold: Share
    #: Smallest box around it, as shares of the image's width and height: left, top, right, bottom.
    box: Box


class Component(_EveryComponent, total=False):
    """The largest connected part of a map at or above a share of its peak."""

    #: Origin of the share: `fixed`: `--box-threshold` or its default; `calibrated`: chosen by `camx evaluate` on images
    #: with a truth. Absent in folders of earlier versions.
    threshold_from: ThresholdFrom


def _has_all_cells(sketch: dict[str, Any]) -> bool:
    try:
        cells = base64.b64decode(sketch["values"], validate=True)
    except ValueError:
        return False
    return bool(len(cells) == sketch["width"] * sketch["height"])


def _of_one_length(channels: dict[str, Any]) -> bool:
    return len({len(channels[name]) for name in Channels.__required_keys__}) == 1


class FoundBox(TypedDict):
    """A box of a detector. Its class and score are `target_…` of the map."""

    #: Rank among the boxes of the image by score, from 0.
    index: Count
    #: Left, top, right and bottom in pixels of the upright image.
    edges: Annotated[list[float], Length(4)]


class MapRow(TypedDict, total=False):
    """One map of an image (`explain`, `evaluate`, `caption`, `ask`), or the feature maps of a layer (`activations`)."""

    #: Method of the map, as in `--method`.
    method: str
    #: Target layer; several are joined by `+`; `input`: the pixels; `attention`: all attention layers (`tis`: all
    #: blocks).
    layer: str
    #: Index of the target class.
    target_index: Count
    #: Name of the target class.
    target_name: str
    #: Probability of the target class; for a segmentation the share of the pixels predicted as it, for a detector the
    #: score of the box.
    target_prob: Share
    #: Target box of a detector.
    found: FoundBox
    #: Target value of a network without classes (a regression, a cosine), instead of `target_prob`.
    target_value: float
    #: Raw value with the largest magnitude, before normalisation; null if it is not finite.
    peak: float | None
    #: Raw value shown as 1 in overlay and sketch, if all maps of an image share one scale (`caption`).
    scale: float
    #: Raw value with the strongest colour in overlay, heatmap file and panel (`--scale`); absent for the map's peak.
    colour_scale: float
    #: Share of the image at or above half the peak; null for a blank map.
    area: Share | None
    #: Centre of mass, as a share of the image's width.
    center_x: Share
    #: Centre of mass, as a share of the image's height.
    center_y: Share
    #: Share of the mass in the outer 10 % on each side.
    border: Share
    #: Entropy of the mass, divided by that of an even spread: 0 is one point, 1 no preference.
    entropy: Share
    #: Box around everything at or above half the peak, as shares of width and height: left, top, right, bottom.
    box: Box
    #: The largest connected part, with its threshold.
    component: Component
    #: Size of the raw map: rows, columns.
    grid: Annotated[list[Pixels], Length(2)]
    #: The map in a few hundred cells.
    sketch: Annotated[Sketch, _has_all_cells]
    #: With several layers: the root mean square of each layer's own map, by its name.
    energies: dict[str, float | None]
    #: Number of the concept from 1, for a map of a concept instead of a class.
    concept: Annotated[int, Range(1, 1e9)]
    #: The best classes for the concept, best first.
    concept_classes: list[Prediction]
    #: File of the overlay, relative to OUT.
    overlay: str
    #: File of the heatmap, relative to OUT: 8-bit grey, over the whole image.
    heatmap: str
    #: File of the raw map, relative to OUT: `.npy`, float32, rows × columns of the grid.
    array: str
    #: File of the mask, relative to OUT: 8-bit grey, 255 where the map reaches `--box-threshold` of its peak.
    mask: str
    #: File of the panel, relative to OUT: the parts of `--panel` side by side above a caption.
    panel: str
    #: File of the sheet of feature maps, relative to OUT.
    sheet: str
    #: Scores of the map by name (`evaluate`); undefined ones are absent. Maps of the baselines have the methods
    #: `random` and `centre`, and no layer.
    scores: dict[str, float]
    #: Curves behind the scores (`evaluate`): probabilities, or correlations per stage.
    curves: dict[str, list[float]]
    #: Numbers per channel (`activations`).
    channels: Annotated[Channels, _of_one_length]
    #: Channels on the sheet, in its order (`activations`).
    shown: list[Count]


class WrittenFile(TypedDict):
    """A file of an image, as written."""

    #: Size in bytes.
    bytes: Count
    #: CRC-32 of its bytes in hexadecimal: finds damage in a twentieth of the time of a cryptographic digest.
    crc32: Annotated[str, Length(8)]


class _EveryImage(TypedDict):
    #: Name of the image: its path below the deepest folder that holds all sources, with `/`.
    image: str
    #: `ok`; `failed`, with the reason in `error`; `blank`, if the map is zero or not finite.
    status: Literal["ok", "failed", "blank"]


class ImageRow(_EveryImage, total=False):
    """One image of a run. The last line of an image counts."""

    #: Position in the input, from 0.
    index: Annotated[int, Range(-1, 1e15)]
    #: Reason why there is no map; empty for `ok`.
    error: str
    #: True class as the user wrote it, or empty. Of several, the one with the best rank.
    label: str
    #: All true classes of an image with several, as the user wrote them.
    labels: list[str]
    #: Other columns of the labels file or list, by their names in lower case; empty cells are left out.
    attributes: dict[str, str]
    #: Size of the file in bytes; -1 if unknown.
    bytes: Annotated[int, Range(-1, 1e18)]
    #: Modification time of the file in nanoseconds, or a checksum of its ETag in an object store; -1 if unknown.
    mtime_ns: int
    #: SHA-256 of the bytes of the file, in hexadecimal.
    sha256: Annotated[str, Length(64)]
    #: Width of the upright image, in pixels.
    width: Pixels
    #: Height of the upright image, in pixels.
    height: Pixels
    #: Mean luma (ITU-R 601) of the image at the size of the overlay: 0 black, 1 white. Absent where the device
    #: draws the overlays (`--decode device`) of a run without a report.
    brightness: Share
    #: `dark`: nearly black; `white`: nearly white; `flat`: less than 1/16 of the levels. Absent for any other image.
    look: Literal["dark", "white", "flat"]
    #: Decisions on its pixels; absent for an ordinary image.
    pixels: PixelsRow
    #: Best classes, best first; as many as `--top-k`.
    top: list[Prediction]
    #: Number of boxes of all classes with a score of at least `--threshold`. Absent without a detector.
    boxes: Count
    #: Whether the top-1 class is the true one; absent without a label that is a class of the network.
    correct: bool
    #: Index of the true class in the output of the network.
    label_index: Count
    #: Probability of the true class, also if it is not in `top`. Absent if the label was changed after the run to a
    #: class that is not in `top`.
    label_prob: Share
    #: Rank of the true class among all classes, from 1. Absent if `label_prob` is absent.
    label_rank: Annotated[int, Range(1, 1e9)]
    #: Part of the image that the network saw, as shares of width and height: left, top, right, bottom.
    seen: Box
    #: Frame of the network in pixels of the upright image: left, top, right, bottom. With padding it reaches outside.
    frame: Annotated[list[float], Length(4)]
    #: The maps, in the order of `--method` and `--target`; of a caption, in the order of its words; of answers, in the
    #: order of the questions.
    maps: list[MapRow]
    #: Caption of the image (`caption`).
    caption: CaptionRow
    #: Answers to the questions about the image, in their order (`ask`).
    answers: list[AnswerRow]
    #: File of the image without heatmap that the report shows, relative to OUT.
    thumb: str
    #: CRC-32 of the line of this image in `spots.jsonl`, in hexadecimal (`--save spots`).
    spots: Annotated[str, Length(8)]
    #: Size and checksum of each file of this image, by its name relative to OUT. Absent in folders of camx 0.1.0.
    files: dict[str, WrittenFile]


def first_map(row: ImageRow) -> MapRow:
    """First map of an image, or an empty one."""
    return next(iter(row.get("maps", ())), MapRow())


def number_of(row: ImageRow | MapRow, name: str) -> float | None:
    """Number in a field of a row, or None."""
    value: float | None = cast(dict[str, Any], row).get(name)
    return value


_is_row = check_of(ImageRow)


def parse_row(line: bytes) -> ImageRow | None:
    """Row of a journal line; None if damaged."""
    try:
        row: ImageRow = parse_json(line)
    except ValueError:
        return None
    return row if _is_row(row) else None
