"""Files of a training that is resumed: each is whole, or made again from the state, or the reason to stop."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from ..errors import CamxError
from ..outputs.folder import OutputFolder
from ..outputs.rows import WrittenFile
from ..regular_files import open_regular
from ..run_layout import METRICS
from .metrics import metrics_csv
from .state import BEST, STATE, TrainingState

_PIECE = 1 << 20


def check_best(folder: OutputFolder, state: TrainingState) -> None:
    """Raises `CamxError` where the best network is damaged and the state holds another one."""
    if _is_whole(folder, state) or state.history[-1].best:
        return
    best = max(row.epoch for row in state.history if row.best)
    raise CamxError(
        f"{folder.file(BEST)!r} is damaged or missing: it is not the network that epoch {best} wrote, and {STATE} "
        f"holds that of epoch {state.history[-1].epoch}.",
        "Put a copy of it back, or start again with `overwrite`.",
    )


def mended(folder: OutputFolder, state: TrainingState, best: Callable[[], bytes]) -> Iterator[str]:
    """Writes what is damaged or missing again from the state, and says so. best: makes the file of its network."""
    if not _is_whole(folder, state):
        folder.write(BEST, best())
        yield f"{BEST} was damaged or missing, and is written again from {STATE}."
    table = metrics_csv(state.history)
    if folder.content(METRICS) != table:
        folder.write(METRICS, table)
        yield f"{METRICS} was damaged or missing, and is written again from {STATE}."


def _is_whole(folder: OutputFolder, state: TrainingState) -> bool:
    """Whether the best network has the size and the checksum that the state names; those of 0.1.0 name none."""
    return file_there(folder.file(BEST)) == state.best_file if state.best_file else bool(folder.size(BEST))


def file_there(path: str) -> WrittenFile | None:
    """Size and checksum of a file, which may be larger than memory; None where it is missing or cannot be read."""
    size = checksum = 0
    try:
        with open_regular(path) as file:
            while piece := file.read(_PIECE):
                size, checksum = size + len(piece), zlib.crc32(piece, checksum)
    except OSError:
        return None
    return {"bytes": size, "crc32": f"{checksum:08x}"}
