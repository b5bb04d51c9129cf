"""Converts journal rows to the data of a page: columns for filters and sorting, and details of each image.

A part has the columns of 10,000 rows, or the details of 100 rows. A page of 100,000 images loads all columns (some
10 MB), and details only of visible images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..outputs.answer_rows import AnswerRow
from ..outputs.answers import all_right
from ..outputs.caption_rows import CaptionRow
from ..outputs.rows import BLANK, FAILED, OK, ImageRow, MapRow, first_map, number_of
from ..outputs.run_folder import RunFolder
from ..run_layout import is_result
from .chunks import Chunks
from .classes import Classes, MeanMaps
from .failures import Failures
from .groups import GroupData
from .originals import Originals
from .pictures import link, picture_of

CHUNK, GROUP = 10_000, 100
_STATUS = (OK, FAILED, BLANK)
_WHOLE = [0.0, 0.0, 1.0, 1.0]
_MEASURES = ("area", "border", "entropy", "center_x", "center_y")
_SHOWN = ("method", "layer", "target_prob", "target_value", "peak", "scale", "colour_scale", *_MEASURES)
_PLACED = ("box", "sketch", "concept")
_FILES = ("overlay", "panel", "heatmap", "array", "mask", "sheet")


@dataclass
class Images:
    """Collects rows. addresses: of embedded images; None if images are linked."""

    run: RunFolder
    parts: Chunks
    addresses: Mapping[str, str] | None
    classes: Classes = field(default_factory=Classes)
    means: MeanMaps = field(default_factory=MeanMaps)
    failures: Failures = field(default_factory=Failures)
    counts: Counter[str] = field(default_factory=Counter)
    signs: Counter[str] = field(default_factory=Counter)
    dimmed: int = 0
    methods: dict[str, None] = field(default_factory=dict)
    groups: GroupData | None = None
    originals: Originals | None = None

    def put(self, rows: Iterable[ImageRow]) -> dict[str, Any]:
        """Adds all rows to the parts. Returns the data that the page needs before it loads parts."""
        total = 0
        for number, chunk in enumerate(_chunks(rows, CHUNK)):
            self.parts.put(f"rows-{number}", self._columns(chunk))
            for start in range(0, len(chunk), GROUP):
                details = [self._details(row) for row in chunk[start : start + GROUP]]
                self.parts.put(f"more-{(number * CHUNK + start) // GROUP}", details)
            total += len(chunk)
            if self.groups is not None:
                for row in chunk:
                    self.groups.add(row)
        self.parts.put("means", self.means.as_part())
        known = {"rows": total, "chunk": CHUNK, "group": GROUP, "methods": [*self.methods]}
        known["signs"] = dict(self.signs)
        known["dimmed"] = self.dimmed
        known["judged"] = self.counts["right"] + self.counts["wrong"]
        return {**known, **self.classes.tables()}

    def _columns(self, rows: list[ImageRow]) -> dict[str, Any]:
        """Columns for filters and sorting, from the first class and first map of each image."""
        columns: dict[str, list[Any]] = {name: [] for name in ("image", "status", "label", "correct", "class", "prob")}
        columns |= {name: [] for name in ("target", "peak", *_MEASURES)}
        errors: dict[int, str] = {}
        for place, row in enumerate(rows):
            correct = all_right(row) if "answers" in row else row.get("correct")
            self.counts[row["status"]] += 1
            self.dimmed += row.get("seen", _WHOLE) != _WHOLE
            if correct is not None:
                self.counts["right" if correct else "wrong"] += 1
            if row["status"] != OK:
                self.failures.add(row.get("error") or row["status"], row["image"])
            columns["image"].append(row["image"])
            columns["status"].append(_STATUS.index(row["status"]))
            columns["label"].append(self.classes.label(row))
            columns["correct"].append(-1 if correct is None else int(correct))
            first = next(iter(row.get("top", ())), None)
            columns["class"].append(self.classes.place(first["index"], first["name"]) if first else -1)
            # Shares of pixels are no probabilities, so the page must not show their calibration.
            columns["prob"].append(_short(first["prob"]) if first and not self.run.task else None)
            map_row = first_map(row)
            columns["target"].append(-1 if _is_text(row) else self._target(map_row))
            for name in ("peak", *_MEASURES):
                columns[name].append(_short(number_of(map_row, name)))
            if row.get("error"):
                errors[place] = row["error"]
        return {**columns, "errors": errors}

    def _details(self, row: ImageRow) -> dict[str, Any]:
        name, kind = picture_of(row)
        details: dict[str, Any] = {"picture": self._address(name), "kind": kind if name else ""}
        fields = cast(dict[str, Any], row)
        details |= {name: fields[name] for name in ("width", "height", "seen") if name in row}
        if self.originals is not None and (original := self.originals.link(row["image"])):
            details["original"] = original
        details["top"] = [[self.classes.place(p["index"], p["name"]), _short(p["prob"])] for p in row.get("top", ())]
        details["maps"] = [self._map(map_row, row) for map_row in row.get("maps", ())]
        if "caption" in row:
            details["caption"] = _caption(row["caption"], row.get("maps", ()))
        if "answers" in row:
            details["answers"] = [*map(_answer, row["answers"])]
        return details

    def _map(self, map_row: MapRow, row: ImageRow) -> dict[str, Any]:
        # Words are no classes: captions have different words at the same position.
        target = -1 if _is_text(row) else self._target(map_row)
        if "method" in map_row:
            self.methods[map_row["method"]] = None
        if target >= 0 and "method" in map_row:
            self.means.add(map_row, target, row.get("correct"))
        if sketch := map_row.get("sketch"):
            self.signs["signed" if sketch.get("signed") else "strength"] += 1
        fields = cast(dict[str, Any], map_row)
        named = {"word": map_row.get("target_name", "")} if _is_text(row) else {}
        known: dict[str, Any] = named | {
            name: fields[name] for name in (*_SHOWN, *_PLACED) if fields.get(name) is not None
        }
        for name in _SHOWN[2:]:
            if name in known:
                known[name] = _short(known[name])
        return {
            **known,
            "target": target,
            "files": {kind: link(fields[kind]) for kind in _FILES if is_result(fields.get(kind, ""))},
        }

    def _target(self, map_row: MapRow) -> int:
        if "target_index" not in map_row:
            return -1
        return self.classes.place(map_row["target_index"], map_row.get("target_name", ""))

    def _address(self, name: str) -> str:
        if self.addresses is not None:
            return self.addresses.get(name, "")
        return link(name) if self.run.has(name) else ""


def _caption(caption: CaptionRow, maps: Sequence[MapRow]) -> dict[str, Any]:
    """Caption for the page: each word with its probability, its dependence on the image, and the number of its map with
    its peak as a share of the strongest; −1 and 0 for a word without a map."""
    words = []
    for one in caption["words"]:
        place = one.get("map", -1)
        own = maps[place] if 0 <= place < len(maps) else MapRow()
        peak, scale = own.get("peak"), own.get("scale")
        tint = max(0.0, min(1.0, peak / scale)) if peak and scale else 0.0
        prob = math.exp(min(0.0, one["logprob"]))
        words.append([one["word"], place if own else -1, _short(tint), _short(prob), _short(one["depends"])])
    return {"text": caption["text"], "words": words}


def _is_text(row: ImageRow) -> bool:
    return "caption" in row or "answers" in row


def _answer(answer: AnswerRow) -> list[Any]:
    """An answer as the page has it: question, answer, number of its map or −1, probability, how much it depends on the
    image, the true answer, whether it is right (1, 0, or −1 for not known), and whether the map is a contrast."""
    prob, correct = math.exp(min(0.0, answer["logprob"])), answer.get("correct")
    return [
        *(answer["question"], answer["answer"], answer.get("map", -1), _short(prob), _short(answer["depends"])),
        *(answer.get("truth", ""), -1 if correct is None else int(correct), int(answer.get("contrast", False))),
    ]


def _chunks(rows: Iterable[ImageRow], size: int) -> Iterator[list[ImageRow]]:
    chunk: list[ImageRow] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _short(value: float | None) -> float | None:
    """Rounds to six digits, so that 0.99997 does not become 1."""
    return None if value is None else float(f"{value:.6g}")
