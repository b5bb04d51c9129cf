"""Values for a tracker from a run folder of `camx caption`."""

from __future__ import annotations

from collections import Counter

from ..outputs.rows import BLANK, FAILED, OK, ImageRow, MapRow
from ..outputs.run_folder import RunFolder
from .results import image_cell
from .table_sample import TableSample
from .tracker import ImageCell, Scalar, Table, Value

_COLUMNS = ("overlay", "word", "text", "logprob", "words", "status", "path")
_MOST_ROWS = 10_000


def caption_log(run: RunFolder, cap: int) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Tables of at most `cap` captions, each with the overlay of its strongest word; the summary, and sentences for
    the user."""
    sample, counts = TableSample(cap), Counter[str]()
    failures: list[list[Scalar | ImageCell]] = []
    for row in run.rows():
        sample.add(row)
        counts[row["status"]] += 1
        if row["status"] == FAILED and len(failures) < _MOST_ROWS:
            failures.append([row["image"], row.get("error", "")])
    rows = [_cells(row, run) for row in run.rows(sample.chosen())]
    values: dict[str, Value] = {"captions": Table(_COLUMNS, rows)}
    if failures:
        values["failures"] = Table(("path", "error"), failures)
    summary: dict[str, Scalar] = {"images": sum(counts.values())}
    summary |= {status: counts[status] for status in (OK, FAILED, BLANK)}
    summary |= {"table/rows": len(rows), "table/of": sum(counts.values()) - counts[FAILED]}
    return values, summary, [f"the table shows {sample.words()}"]


def _cells(row: ImageRow, run: RunFolder) -> list[Scalar | ImageCell]:
    maps, caption = row.get("maps", []), row.get("caption")
    strongest = max(maps, key=lambda one: one.get("peak") or 0.0, default=MapRow())
    text, logprob, words = (caption["text"], caption["logprob"], len(caption["words"])) if caption else (None,) * 3
    return [
        image_cell(run, strongest.get("overlay")),
        *(strongest.get("target_name"), text, logprob, words, row["status"], row["image"]),
    ]
