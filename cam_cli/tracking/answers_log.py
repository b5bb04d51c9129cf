"""Values for a tracker from a run folder of `camx ask`."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..outputs.answers import judged
from ..outputs.rows import ImageRow, MapRow
from ..outputs.run_folder import RunFolder
from .results import image_cell
from .sampled_log import sampled_log
from .tracker import ImageCell, Scalar, Value

_COLUMNS = ("overlay", "question", "answer", "prob", "depends", "truth", "correct", "status", "path")


def answers_log(run: RunFolder, cap: int) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Tables of the answers for at most `cap` images; the summary with the share of right answers, and sentences for
    the user."""
    values, summary, words = sampled_log(run, cap, "answers", _COLUMNS, lambda row, why: _lines(row, run))
    right, total = judged(run.rows())
    if total:
        summary |= {"accuracy": right / total, "judged": total}
    return values, summary, words


def _lines(row: ImageRow, run: RunFolder) -> Iterator[list[Scalar | ImageCell]]:
    maps = row.get("maps", [])
    for answer in row.get("answers", ()):
        place = answer.get("map", -1)
        own = maps[place] if 0 <= place < len(maps) else MapRow()
        yield [
            image_cell(run, own.get("overlay")),
            *(answer["question"], answer["answer"], math.exp(answer["logprob"]), answer["depends"]),
            *(answer.get("truth"), answer.get("correct"), row["status"], row["image"]),
        ]
