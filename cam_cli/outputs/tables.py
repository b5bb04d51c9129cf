"""Writes `predictions.csv`, one row per image, and `maps.csv`, one row per map, both in input order."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..maps.thresholds import HALF
from .rows import Component, ImageRow, MapRow, first_map, number_of

#: Character that begins a formula, also full-width, after characters that spreadsheets ignore.
_FORMULA = re.compile(r"[\t\r\n]|[\s\x00-\x1f\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]")

#: Measures of a map with columns `cam_…`.
MEASURES = ("peak", "area", "center_x", "center_y", "border", "entropy")


#: Last column for networks whose outputs are values, such as a regression.
VALUE = "target_value"
#: Last columns for detectors: number of boxes of an image, and the box of a map in pixels.
BOXES, FOUND = "boxes", ("found", "found_left", "found_top", "found_right", "found_bottom")


def columns(top_k: int, *, values: bool = False, boxes: bool = False) -> list[str]:
    """Header for `top_k` classes per image. values: whether the outputs of the network are values. boxes: whether the
    network is a detector."""
    top = [f"top{k}_{what}" for k in range(1, top_k + 1) for what in ("index", "name", "prob")]
    return [
        *("image", "status", "error", "width", "height", "label", "correct"),
        *top,
        *("method", "layer", "target_index", "target_name", "target_prob"),
        *(*(f"cam_{name}" for name in MEASURES), "overlay"),
        *[VALUE][: int(values)],
        *[BOXES][: int(boxes)],
    ]


def table(rows: Iterable[ImageRow], top_k: int, *, values: bool = False, boxes: bool = False) -> Iterator[bytes]:
    """Yields the table in pieces of UTF-8 (RFC 4180). The row of an image holds its first map."""
    yield line(columns(top_k, values=values, boxes=boxes))
    for row in rows:
        count = [row.get("boxes", "")] if boxes else []
        yield line([*_cells(row, top_k), *_value(first_map(row), values), *count])


def _value(one: MapRow, values: bool) -> list[str]:
    return [number(one.get("target_value"))] if values else []


def _found(one: MapRow) -> list[Any]:
    """The cells of `FOUND`."""
    if "found" not in one:
        return [""] * len(FOUND)
    # Six significant digits, as in `number`, would round edges in images of many thousand pixels.
    return [one["found"]["index"], *(f"{edge:.3f}".rstrip("0").rstrip(".") for edge in one["found"]["edges"])]


def map_columns(*, values: bool = False, boxes: bool = False) -> list[str]:
    """Header of the table of maps.

    `box_left` …: box of the largest part above `box_threshold`, a share of the peak, as shares of the image's width and
    height. `found`: rank of a detector's box; `found_left` …: its edges in pixels.
    """
    return [
        *("image", "map", "method", "layer", "target_index", "target_name", "target_prob"),
        *(f"cam_{name}" for name in MEASURES),
        *("box_left", "box_top", "box_right", "box_bottom", "box_threshold", "box_threshold_from", "overlay"),
        *[VALUE][: int(values)],
        *(FOUND if boxes else ()),
    ]


def box_of(one: MapRow) -> Component | None:
    """Box of a map with its threshold. camx 0.1.0 only stored the box around everything above half the peak."""
    if found := one.get("component"):
        return found
    return {"threshold": HALF, "box": one["box"], "threshold_from": "fixed"} if "box" in one else None


def map_table(rows: Iterable[ImageRow], *, values: bool = False, boxes: bool = False) -> Iterator[bytes]:
    """Yields the table of maps in pieces of UTF-8: one row per map, numbered from 0 in each image."""
    yield line(map_columns(values=values, boxes=boxes))
    for row in rows:
        for place, one in enumerate(row.get("maps", ())):
            part = box_of(one)
            box: Sequence[float | None] = part["box"] if part else [None] * 4
            yield line(
                [
                    *(text(row["image"]), place, one.get("method", ""), text(one.get("layer", ""))),
                    *(one.get("target_index", ""), text(one.get("target_name", "")), number(one.get("target_prob"))),
                    *(number(number_of(one, name)) for name in MEASURES),
                    *map(number, box),
                    *((number(part["threshold"]), part.get("threshold_from", "")) if part else ("", "")),
                    text(one.get("overlay", "")),
                    *_value(one, values),
                    *(_found(one) if boxes else ()),
                ]
            )


def _cells(row: ImageRow, top_k: int) -> list[Any]:
    top: list[Any] = []
    for prediction in row.get("top", [])[:top_k]:
        top += [prediction["index"], text(prediction["name"]), number(prediction["prob"])]
    top += [""] * (3 * top_k - len(top))
    map_row = first_map(row)
    correct = row.get("correct")
    return [
        *(text(row["image"]), row["status"], text(row.get("error", ""))),
        *(row.get("width", ""), row.get("height", ""), text(row.get("label", ""))),
        "" if correct is None else "true" if correct else "false",
        *top,
        *(map_row.get("method", ""), text(map_row.get("layer", ""))),
        *(map_row.get("target_index", ""), text(map_row.get("target_name", "")), number(map_row.get("target_prob"))),
        *(number(number_of(map_row, name)) for name in MEASURES),
        text(map_row.get("overlay", "")),
    ]


def text(value: str) -> str:
    """Prefixes a text with an apostrophe if a spreadsheet would run it as a formula."""
    return f"'{value}" if _FORMULA.match(value) else value


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def line(cells: list[Any]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue().encode("utf-8", "backslashreplace")
