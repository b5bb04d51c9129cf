"""Resume: the images that an earlier run of the same fingerprint has not done yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..images.listing import Source
from ..images.picture import NO_FILE, state_of
from ..images.shard import Shard
from ..outputs.folder import OutputFolder
from ..outputs.rows import BLANK, OK, ImageRow
from .progress import Progress

#: Rows that are written at once.
_CHUNK = 1000
#: Gives the row of an image with its new label; None where the image must be explained again.
Relabel = Callable[[ImageRow, Source], ImageRow | None]


def pending_sources(
    sources: Sequence[Source],
    folder: OutputFolder,
    progress: Progress,
    relabel: Relabel,
    shard: Shard | None = None,
) -> list[Source]:
    """The sources of the shard that have no good row: failed, new, changed on disk, or with a missing result file.

    Good rows are counted in `progress`; where only the label or the position is another now, the row is written again.
    """
    done: set[str] = set()
    renewed: list[ImageRow] = []
    own = [source for source in sources if shard.holds(source.key)] if shard else sources
    for index, source, row in _known(sources, folder, shard):
        if not _still_true(source, row, folder):
            continue
        now: ImageRow = {**row, "index": index}
        same = row.get("labels", [row["label"]]) == [*(source.labels or ("",))]
        current = _with_attributes(now, source) if same else relabel(now, source)
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
    return [source for source in own if source.key not in done]


def _with_attributes(row: ImageRow, source: Source) -> ImageRow:
    now: ImageRow = {**row, "attributes": dict(source.attributes)}
    if not source.attributes:
        del now["attributes"]
    return now


def _known(
    sources: Sequence[Source], folder: OutputFolder, shard: Shard | None
) -> Iterator[tuple[int, Source, ImageRow]]:
    """The sources of the shard that have a row: position, source and row of each."""

    def known() -> Iterator[tuple[int, Source]]:
        for index, source in enumerate(sources):
            if source.key in folder.journal and (shard is None or shard.holds(source.key)):
                yield index, source

    rows = folder.journal.rows(source.key for _, source in known())
    return ((index, source, row) for (index, source), row in zip(known(), rows))


def _still_true(source: Source, row: ImageRow, folder: OutputFolder) -> bool:
    unchanged = state_of(source) == (row.get("bytes"), row.get("mtime_ns")) != NO_FILE
    return row.get("status") in (OK, BLANK) and "label" in row and unchanged and folder.is_whole(row)
