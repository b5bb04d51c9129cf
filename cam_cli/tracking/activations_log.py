"""What is logged of the results of `camx activations`, from their folder alone."""

from __future__ import annotations

from collections import Counter

from ..outputs.journal import BLANK, FAILED, OK, Row
from ..outputs.rows import first_map
from .results import ResultsFolder
from .table_sample import TableSample
from .tracker import ImageCell, Scalar, Table, Value

_COLUMNS = ("sheet", "chosen", "label", "layer", "channels", "dead_channels", "mean_energy", "status", "path")
_MOST_ROWS = 10_000


def sheets(results: ResultsFolder, cap: int) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Tables, the summary, and what the user should know of them."""
    choice, counts = TableSample(cap), Counter[str]()
    failures: list[list[Scalar | ImageCell]] = []
    for row in results.rows():
        choice.add(row)
        counts[row["status"]] += 1
        if row["status"] == FAILED and len(failures) < _MOST_ROWS:
            failures.append([row["image"], row.get("error", "")])
    chosen = choice.chosen()
    rows = [_cells(row, chosen[row["image"]], results) for row in results.rows(chosen)]
    values: dict[str, Value] = {"activations": Table(_COLUMNS, rows)}
    if failures:
        values["failures"] = Table(("path", "error"), failures)
    summary: dict[str, Scalar] = {"images": sum(counts.values())}
    summary |= {status: counts[status] for status in (OK, FAILED, BLANK)}
    summary |= {"table/rows": len(rows), "table/of": sum(counts.values()) - counts[FAILED]}
    return values, summary, [f"the table shows {choice.said()}"]


def _cells(row: Row, why: str, results: ResultsFolder) -> list[Scalar | ImageCell]:
    """`dead_channels`: those that are nowhere positive."""
    shown = first_map(row)
    channels = shown.get("channels")
    dead, energy = (channels["dead"], channels["energy"]) if channels else ([], [])
    return [
        results.picture(shown.get("sheet")),
        *(why, row.get("label") or None, shown.get("layer"), len(dead) if dead else None),
        sum(share >= 1 for share in dead) if dead else None,
        sum(energy) / len(energy) if energy else None,
        *(row["status"], row["image"]),
    ]
