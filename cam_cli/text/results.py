"""Converts captions to files and journal rows, and rows to `captions.csv` and `words.csv`. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..maps.explanation import Explanation
from ..outputs.caption_rows import CaptionRow, CaptionWord
from ..outputs.options import Rendering
from ..outputs.renderer import ExplanationRenderer, Rendered
from ..outputs.rows import BLANK, FAILED, OK, ImageRow, MapRow, number_of
from ..outputs.tables import line, number, text
from .records import Captioned, Word

CAPTIONS = ("image", "status", "error", "text", "logprob")
MEASURES = ("peak", "area", "center_x", "center_y", "border", "entropy")
WORDS = ("image", "position", "word", "pieces", "prob", "depends", *(f"cam_{name}" for name in MEASURES), "overlay")


@dataclass(frozen=True)
class CaptionRenderer:
    """Renders captions; can be pickled. thumbnail: as in `ExplanationRenderer`."""

    rendering: Rendering
    thumbnail: int = 0

    def render(self, one: Captioned) -> Rendered:
        """Overlays of all words with maps, and the row of the image."""
        explanation = Explanation(one.picture, maps=one.maps, problem=one.problem)
        row, files = ExplanationRenderer(self.rendering, self.thumbnail).render(explanation)
        row.pop("top", None)
        if one.problem:
            return Rendered(row, files)
        row["caption"] = _caption(one)
        for own, made in zip(row["maps"], one.maps):
            if made.scale is not None:
                own["scale"] = made.scale
        shown = any(own["area"] is not None for own in row["maps"])
        reason = "no word has a map that is above zero" if row["maps"] else "the caption has no word to explain"
        return Rendered(
            {**row, "status": OK, "error": ""} if shown else {**row, "status": BLANK, "error": reason}, files
        )


def _caption(one: Captioned) -> CaptionRow:
    found: CaptionRow = {"text": one.text, "logprob": one.logprob, "words": [_word(word) for word in one.words]}
    if one.given:
        found["given"] = True
    return found


def _word(word: Word) -> CaptionWord:
    found: CaptionWord = {
        "word": word.word,
        "pieces": word.pieces,
        "logprob": word.logprob,
        "depends": word.depends,
    }
    if word.map is not None:
        found["map"] = word.map
    return found


def captions_table(rows: Iterable[ImageRow]) -> Iterator[bytes]:
    """`captions.csv` in pieces of UTF-8 (RFC 4180): one line per image."""
    yield line([*CAPTIONS])
    for row in rows:
        caption = row.get("caption")
        cells = [text(caption["text"]), number(caption["logprob"])] if caption else ["", ""]
        yield line([text(row["image"]), row["status"], text(row.get("error", "")), *cells])


def words_table(rows: Iterable[ImageRow]) -> Iterator[bytes]:
    """`words.csv`: one line per word; a word without a map has empty cells for it. position: from 1."""
    yield line([*WORDS])
    for row in rows:
        caption = row.get("caption")
        if caption and row["status"] != FAILED:
            yield b"".join(line(_cells(row, place, word)) for place, word in enumerate(caption["words"], 1))


def _cells(row: ImageRow, place: int, word: CaptionWord) -> list[Any]:
    maps = row.get("maps", [])
    shown = word.get("map", -1)
    own = maps[shown] if 0 <= shown < len(maps) else MapRow()
    return [
        *(text(row["image"]), place, text(word["word"]), word["pieces"]),
        *(number(math.exp(min(0.0, word["logprob"]))), number(word["depends"])),
        *(number(number_of(own, name)) for name in MEASURES),
        text(own.get("overlay", "")),
    ]
