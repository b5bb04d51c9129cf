"""Builds the page of patterns: a strip of crops for each, with mean map, figures, flags and images."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ..errors import UnreadableImage
from ..maps.colormaps import palette
from ..maps.sketch import decode
from ..outputs.derived import write_derived
from ..outputs.rows import ImageRow
from ..outputs.run_folder import RunFolder
from ..patterns.records import FLAGS, OUTSIDE, SAME_PLACE, Number, Pattern, Patterns
from ..patterns.summary import check_words
from ..run_layout import PATTERNS
from ..sentences import counted
from .chunks import InlineChunks
from .page import assembled
from .pictures import picture_of
from .rounding import number, percent

PAGE = "index.html"
#: Most patterns on a page; most crops, images and further names per pattern.
MOST_PATTERNS, CROPS, IMAGES, NAMED = 40, 12, 24, 500
#: Sides in pixels of a crop, an image and a mean map; share of the longer side that a crop shows.
_CROP, _IMAGE, _MAP, _SHOWN = 96, 220, 120, 0.3
SCRIPTS = ("elements", "patterns/names")
STYLES = ("base", "header", "table", "training", "compare", "evaluation", "patterns", "narrow", "print")
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
#: Texts of the flags.
WORDS = {"same_place": "same place", "outside": "outside the box", "one_class": "one class only"}


@dataclass(frozen=True)
class Picture:
    """An image of a pattern as `data:` address (or "") with its text."""

    address: str
    words: str


@dataclass(frozen=True)
class Section:
    """A pattern on the page. key: class and number. named: names of further images."""

    key: str
    cls: str
    number: int
    figures: Sequence[tuple[str, str]]
    flags: Sequence[str]
    small: bool
    mean_map: str
    crops: Sequence[Picture]
    images: Sequence[Picture]
    named: Sequence[str]
    more: int


def build_patterns(path: str, found: Patterns) -> str:
    """Writes the page of patterns into OUT/patterns and returns its file. Raises `CamxError` if that fails.

    One self-contained file, flagged patterns first. `patterns.csv` has those beyond the first 40.
    """
    run = RunFolder.read(path)
    shown = sorted(found.patterns, key=_rank)[:MOST_PATTERNS]
    sections = [_section(run, found, one) for one in shown]
    spots = found.spots
    counts = f"{counted(len(found.patterns), 'pattern')} of {counted(len(spots), 'spot')}"
    notes = [
        f"{counts} in {counted(len(spots.table), 'image')}, by {spots.method}.",
        "A pattern is a finding, not a proof.",
        *(f"left out: {count:,} {why}" for why, count in found.left_out.items()),
        *found.notes,
    ]
    if len(found.patterns) > len(shown):
        notes.append(f"{len(found.patterns) - len(shown)} more patterns are in patterns.csv.")
    page = assembled(
        "patterns.html.j2",
        {"patterns": [_exported(found, one) for one in shown]},
        InlineChunks(),
        SCRIPTS,
        STYLES,
        heading="What does the network look at?",
        model=found.run.get("plan", {}).get("model") or "",
        notes=notes,
        gates=found.gates,
        sections=sections,
    )
    folder = run.file(PATTERNS)
    write_derived(folder, {PAGE: page}, below=path)
    return f"{folder}/{PAGE}"


def _rank(one: Pattern) -> tuple[bool, bool, int, int]:
    """Sort key: suspicious patterns first, at one place or outside the objects."""
    return not {SAME_PLACE, OUTSIDE} & {*one.flags}, one.small, one.target, one.number


def _exported(found: Patterns, one: Pattern) -> Mapping[str, object]:
    """A pattern as the file of names has it; the page adds the name."""
    return {
        "class": found.spots.table.classes[one.target],
        "pattern": one.number,
        "images": len(one.images),
        "x": round(one.x, 4),
        "y": round(one.y, 4),
        "flags": list(one.flags),
    }


def _section(run: RunFolder, found: Patterns, one: Pattern) -> Section:
    spots, names = found.spots, found.spots.table.images
    #: Only the most typical spot of each image.
    first = {int(spots.owner[place]): int(place) for place in one.spots[::-1].tolist()}
    wanted = one.images[: max(CROPS, IMAGES)].tolist()
    rows = {row["image"]: row for row in run.rows([names[image] for image in wanted])}
    crops: list[Picture] = []
    images: list[Picture] = []
    cells: list[np.ndarray] = []
    for image in wanted:
        row, place = rows.get(names[image]), first[image]
        if row is None:
            continue
        x, y = float(spots.x[place]), float(spots.y[place])
        canvas = _canvas(run, row)
        words = f"{names[image]}{_verdict(row)}"
        if len(crops) < CROPS:
            crops.append(Picture(_jpeg(_crop(canvas, x, y)) if canvas else "", words))
        images.append(Picture(_jpeg(_marked(canvas, x, y)) if canvas else "", words))
    for row in run.rows([names[image] for image in one.images[:NAMED].tolist()]):
        cells += [decode(shown["sketch"]) for shown in row.get("maps", ())[:1] if "sketch" in shown]
    return Section(
        key=found.name(one),
        cls=spots.table.classes[one.target],
        number=one.number,
        figures=list(_figures(one)),
        flags=[WORDS[flag] for flag in FLAGS if flag in one.flags],
        small=one.small,
        mean_map=_mean_map(cells),
        crops=crops,
        images=images,
        named=[names[image] for image in one.images[IMAGES:NAMED].tolist()],
        more=max(0, len(one.images) - NAMED),
    )


def _figures(one: Pattern) -> Iterator[tuple[str, str]]:
    yield "images", f"{len(one.images):,} of {one.share.total:,}"
    yield "share of the class", _percent(one.share)
    yield "spread of place", f"{number(one.spread)} around {number(one.x)}, {number(one.y)}"
    yield "accuracy with", _percent(one.with_)
    yield "accuracy without", _percent(one.without)
    if one.exclusive is not None:
        yield "only in this class", percent(one.exclusive)
    if one.checked is not None:
        first, *others = check_words(one.checked)
        yield "spots covered", ". ".join([first.capitalize(), *(text.capitalize() for text in others)]) + "."
    if one.outside is not None:
        yield "beside the objects", _percent(one.outside)


def _percent(value: Number | None) -> str:
    if value is None:
        return "–"
    return f"{percent(value.value)} [{percent(value.low)}, {percent(value.high)}]"


def _verdict(row: ImageRow) -> str:
    top = next(iter(row.get("top", ())), None)
    predicted = f", predicted {top['name']}" if top else ""
    return f"{predicted}, labelled {row.get('label')}" if row.get("correct") is False else predicted


def _canvas(run: RunFolder, row: ImageRow) -> Image.Image | None:
    name, _ = picture_of(row)
    try:
        with run.picture(name) as image:
            return image.convert("RGB")
    except UnreadableImage:
        return None


def _crop(canvas: Image.Image, x: float, y: float) -> Image.Image:
    """A square around a place, moved inside the image at its edges."""
    side = max(8, round(_SHOWN * max(canvas.size)))
    left, top = (
        max(0, min(round(place * whole - side / 2), whole - side))
        for place, whole in zip((x, y), canvas.size)
    )  # fmt: skip
    box = (left, top, min(canvas.width, left + side), min(canvas.height, top + side))
    return canvas.crop(box).resize((_CROP, _CROP), Image.Resampling.BICUBIC)


def _marked(canvas: Image.Image, x: float, y: float) -> Image.Image:
    """The image with a ring around a place, white on black, visible on any image."""
    image = canvas.copy()
    image.thumbnail((_IMAGE, _IMAGE), Image.Resampling.BICUBIC)
    draw, radius = ImageDraw.Draw(image), round(_SHOWN / 3 * max(image.size))
    across, down = x * image.width, y * image.height
    for reach, colour, width in ((radius + 1, _BLACK, 4), (radius, _WHITE, 2)):
        draw.ellipse((across - reach, down - reach, across + reach, down + reach), outline=colour, width=width)
    return image


def _mean_map(cells: Sequence[np.ndarray]) -> str:
    """Mean of sketches in colour; sketches of other aspect ratios are stretched."""
    if not cells:
        return ""
    size = (_MAP, _MAP)
    stack = [Image.fromarray(np.rint(255 * np.abs(one)).astype(np.uint8)).resize(size) for one in cells]
    mean = np.mean([np.asarray(one, np.float32) for one in stack], axis=0)
    levels = Image.fromarray(np.rint(255 * mean / max(1.0, float(mean.max()))).astype(np.uint8), "P")
    levels.putpalette(palette("turbo").tobytes())
    return _jpeg(levels.convert("RGB"))


def _jpeg(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
