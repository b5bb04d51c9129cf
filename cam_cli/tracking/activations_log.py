"""Values for a tracker from a run folder of `camx activations`."""

from __future__ import annotations

from ..outputs.rows import ImageRow, first_map
from ..outputs.run_folder import RunFolder
from .results import image_cell
from .sampled_log import sampled_log
from .tracker import ImageCell, Scalar, Value

_COLUMNS = ("sheet", "chosen", "label", "layer", "channels", "dead_channels", "mean_energy", "status", "path")


def activations_log(run: RunFolder, cap: int) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Returns tables of at most `cap` sheets, the summary, and sentences for the user."""
    return sampled_log(run, cap, "activations", _COLUMNS, lambda row, why: [_cells(row, why, run)])


def _cells(row: ImageRow, why: str, run: RunFolder) -> list[Scalar | ImageCell]:
    """Cells of one sheet. `dead_channels`: number of channels without a positive value."""
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
