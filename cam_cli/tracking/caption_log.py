"""Values for a tracker from a run folder of `camx caption`."""

from __future__ import annotations

from ..outputs.rows import ImageRow, MapRow
from ..outputs.run_folder import RunFolder
from .results import image_cell
from .sampled_log import sampled_log
from .tracker import ImageCell, Scalar, Value

_COLUMNS = ("overlay", "word", "text", "logprob", "words", "status", "path")


def caption_log(run: RunFolder, cap: int) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Returns tables of at most `cap` captions, each with the overlay of its strongest word, the summary, and
    sentences for the user."""
    return sampled_log(run, cap, "captions", _COLUMNS, lambda row, why: [_cells(row, run)])


def _cells(row: ImageRow, run: RunFolder) -> list[Scalar | ImageCell]:
    maps, caption = row.get("maps", []), row.get("caption")
    strongest = max(maps, key=lambda one: one.get("peak") or 0.0, default=MapRow())
    text, logprob, words = (caption["text"], caption["logprob"], len(caption["words"])) if caption else (None,) * 3
    return [
        image_cell(run, strongest.get("overlay")),
        *(strongest.get("target_name"), text, logprob, words, row["status"], row["image"]),
    ]
