"""Values for a tracker from a run folder of `camx activations`."""

from __future__ import annotations

from collections import Counter

from ..outputs.rows import BLANK, FAILED, OK, ImageRow, first_map
from ..outputs.run_folder import RunFolder
from .results import image_cell
from .table_sample import TableSample
from .tracker import ImageCell, Scalar, Table, Value

_COLUMNS = ("sheet", "chosen", "label", "layer", "channels", "dead_channels", "mean_energy", "status", "path")
_MOST_ROWS = 10_000


def activations_log(run: RunFolder, cap: int) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Tables of at most `cap` sheets, the summary, and sentences for the user."""
    sample, counts = TableSample(cap), Counter[str]()
    failures: list[list[Scalar | ImageCell]] = []
    for row in run.rows():
        sample.add(row)
        counts[row["status"]] += 1
        if row["status"] == FAILED and len(failures) < _MOST_ROWS:
            failures.append([row["image"], row.get("error", "")])
    chosen = sample.chosen()
    rows = [_cells(row, chosen[row["image"]], run) for row in run.rows(chosen)]
    values: dict[str, Value] = {"activations": Table(_COLUMNS, rows)}
    if failures:
        values["failures"] = Table(("path", "error"), failures)
    summary: dict[str, Scalar] = {"images": sum(counts.values())}
    summary |= {status: counts[status] for status in (OK, FAILED, BLANK)}
    summary |= {"table/rows": len(rows), "table/of": sum(counts.values()) - counts[FAILED]}
    return values, summary, [f"the table shows {sample.words()}"]


def _cells(row: ImageRow, why: str, run: RunFolder) -> list[Scalar | ImageCell]:
    """`dead_channels`: those that are nowhere positive."""
    map_row = first_map(row)
    channels = map_row.get("channels")
    dead, energy = (channels["dead"], channels["energy"]) if channels else ([], [])
    return [
        image_cell(run, map_row.get("sheet")),
        *(why, row.get("label") or None, map_row.get("layer"), len(dead) if dead else None),
        sum(share >= 1 for share in dead) if dead else None,
        sum(energy) / len(energy) if energy else None,
        *(row["status"], row["image"]),
    ]
