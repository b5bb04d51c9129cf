"""Builds tracker values that all tables of sampled images share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ..outputs.rows import BLANK, FAILED, OK, ImageRow
from ..outputs.run_folder import RunFolder
from .table_sample import TableSample
from .tracker import ImageCell, Scalar, Table, Value

_MOST_ROWS = 10_000


def sampled_log(
    run: RunFolder,
    cap: int,
    name: str,
    columns: Sequence[str],
    cells: Callable[[ImageRow, str], Iterable[list[Scalar | ImageCell]]],
) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Returns a table `name` of at most `cap` images, one of the failures, the summary, and sentences for the user.

    cells: builds the lines of the table for a row, from the row and the reason why its image was chosen.
    """
    sample, counts = TableSample(cap), Counter[str]()
    failures: list[list[Scalar | ImageCell]] = []
    for row in run.rows():
        sample.add(row)
        counts[row["status"]] += 1
        if row["status"] == FAILED and len(failures) < _MOST_ROWS:
            failures.append([row["image"], row.get("error", "")])
    chosen = sample.chosen()
    rows = [line for row in run.rows(chosen) for line in cells(row, chosen[row["image"]])]
    values: dict[str, Value] = {name: Table(tuple(columns), rows)}
    if failures:
        values["failures"] = Table(("path", "error"), failures)
    summary: dict[str, Scalar] = {"images": sum(counts.values())}
    summary |= {status: counts[status] for status in (OK, FAILED, BLANK)}
    summary |= {"table/rows": len(rows), "table/of": sum(counts.values()) - counts[FAILED]}
    return values, summary, [f"the table shows {sample.words()}"]
