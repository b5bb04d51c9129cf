"""Finds the images that an earlier run of the same fingerprint has not finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple

from ..images.listing import Source
from ..images.picture import NO_FILE, state_of
from ..images.shard import Shard
from ..outputs.folder import OutputFolder
from ..outputs.rows import BLANK, OK, ImageRow
from ..sentences import counted
from .progress import Progress

#: Rows per write.
_CHUNK = 1000
#: Files to verify at once.
_READERS = 8
#: Returns the row of an image with its current label and class names; None if the image must be explained again.
Relabel = Callable[[ImageRow, Source], ImageRow | None]


class Pending(NamedTuple):
    """Images to process, and the number of finished ones whose files are damaged."""

    sources: list[Source]
    damaged: int = 0

    def problems(self) -> list[str]:
        """Warning about damaged results."""
        if not self.damaged:
            return []
        one = "image has results that are missing or damaged, and is explained again."
        several = "images have results that are missing or damaged, and are explained again."
        return [counted(self.damaged, one, several)]


def pending_sources(
    sources: Sequence[Source],
    folder: OutputFolder,
    progress: Progress,
    relabel: Relabel,
    shard: Shard | None = None,
    *,
    verify: bool = False,
) -> Pending:
    """Sources of the shard without a valid row: failed, new, changed on disk, or with a damaged file.

    Counts valid rows in `progress`. Rewrites rows whose labels, names or position have changed. verify: checks all
    bytes of files, not only sizes.
    """
    done: set[str] = set()
    renewed: list[ImageRow] = []
    damaged = 0
    own = [source for source in sources if shard.holds(source.key)] if shard else sources
    for index, source, row, whole in _with_state(_known(sources, folder, shard), folder, verify):
        if not whole:
            damaged += 1
            continue
        now: ImageRow = {**row, "index": index}
        current = relabel(now, source)
        if current is None:
            continue
        if current != row:
            renewed.append(current)
        if len(renewed) == _CHUNK:
            folder.append(renewed)
            renewed.clear()
        done.add(source.key)
        progress.skipped += 1
        progress.add(current)
    folder.append(renewed)
    return Pending([source for source in own if source.key not in done], damaged)


def has_labels_of(row: ImageRow, source: Source) -> bool:
    """Whether a row has the current labels of its source."""
    return row.get("labels", [row["label"]]) == [*(source.labels or ("",))]


def same_label(row: ImageRow, source: Source) -> ImageRow | None:
    """Row with the attributes of its source; None if the labels differ."""
    return with_attributes(row, source) if has_labels_of(row, source) else None


def with_attributes(row: ImageRow, source: Source) -> ImageRow:
    """Row with the current attributes of its source."""
    now: ImageRow = {**row, "attributes": dict(source.attributes)}
    if not source.attributes:
        del now["attributes"]
    return now


def _known(
    sources: Sequence[Source], folder: OutputFolder, shard: Shard | None
) -> Iterator[tuple[int, Source, ImageRow]]:
    """Sources of the shard with a row: position, source and row."""

    def known() -> Iterator[tuple[int, Source]]:
        for index, source in enumerate(sources):
            if source.key in folder.journal and (shard is None or shard.holds(source.key)):
                yield index, source

    rows = folder.journal.rows(source.key for _, source in known())
    return ((index, source, row) for (index, source), row in zip(known(), rows))


def _with_state(
    known: Iterator[tuple[int, Source, ImageRow]], folder: OutputFolder, verify: bool
) -> Iterator[tuple[int, Source, ImageRow, bool]]:
    """Rows of unchanged images, each with whether its files are intact."""
    good = (one for one in known if is_current(one[1], one[2]))
    is_whole = partial(folder.is_whole, verify=verify)
    with ThreadPoolExecutor(_READERS, "verify") as pool:
        while some := list(islice(good, _CHUNK)):
            rows = [row for _, _, row in some]
            states = pool.map(is_whole, rows) if verify else map(is_whole, rows)
            yield from ((*one, whole) for one, whole in zip(some, states))


def is_current(source: Source, row: ImageRow) -> bool:
    """Whether a row has a result of the present file of its image."""
    unchanged = state_of(source) == (row.get("bytes"), row.get("mtime_ns")) != NO_FILE
    return row.get("status") in (OK, BLANK) and "label" in row and unchanged
