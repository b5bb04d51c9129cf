"""Checks the files of a resumed training. Restores damaged ones from the state, or stops with the reason."""

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
    """Raises `CamxError` if the best network is damaged and the state holds a later one."""
    if _is_whole(folder, state) or state.history[-1].best:
        return
    best = max(row.epoch for row in state.history if row.best)
    raise CamxError(
        f"{folder.file(BEST)!r} is damaged or missing: it should be the network of epoch {best}, but {STATE} "
        f"only holds the network of epoch {state.history[-1].epoch}.",
        "Restore the file from a copy, or start again with `overwrite`.",
    )


def restore_files(folder: OutputFolder, state: TrainingState, best: Callable[[], bytes]) -> Iterator[str]:
    """Writes damaged and missing files from the state, and yields a warning for each. best: bytes of the network."""
    if not _is_whole(folder, state):
        folder.write(BEST, best())
        yield f"{BEST} was damaged or missing, and is written again from {STATE}."
    table = metrics_csv(state.history)
    if folder.content(METRICS) != table:
        folder.write(METRICS, table)
        yield f"{METRICS} was damaged or missing, and is written again from {STATE}."


def _is_whole(folder: OutputFolder, state: TrainingState) -> bool:
    """Whether the best network has the size and checksum in the state. States of 0.1.0 have neither."""
    return size_and_checksum(folder.file(BEST)) == state.best_file if state.best_file else bool(folder.size(BEST))


def size_and_checksum(path: str) -> WrittenFile | None:
    """Size and checksum of a file, read in pieces; None if it is missing or unreadable."""
    size = checksum = 0
    try:
        with open_regular(path) as file:
            while piece := file.read(_PIECE):
                size, checksum = size + len(piece), zlib.crc32(piece, checksum)
    except OSError:
        return None
    return {"bytes": size, "crc32": f"{checksum:08x}"}
