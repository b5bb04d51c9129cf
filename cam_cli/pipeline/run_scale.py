"""Draws all overlays of a run on one colour scale per method, after the last map.

The peaks are in the journal and the raw maps in `arrays/`, so no image is explained twice; images are decoded once
more. The scale of a method is the peak that at most 1 % of the peaks exceed: with the largest one, a single map could
leave all others without colours. It depends on the maps alone, not on their order or on shards.
"""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..cams.methods.registry import METHODS
from ..errors import UnreadableImage
from ..images.geometry import Preprocessing
from ..images.listing import Source
from ..images.picture import Fetched, TooLarge, Unreadable, load
from ..images.remote import is_remote
from ..images.worker_process import WorkerFailed
from ..images.workers import Workers
from ..machine import picture_memory
from ..outputs.folder import OutputFolder
from ..outputs.options import RUN, Rendering
from ..outputs.redraw import Redrawer, without_colours
from ..outputs.renderer import Rendered
from ..outputs.result_files import is_intact
from ..outputs.rows import OK, ImageRow, MapRow
from ..outputs.savers import COLOURED, kinds_of
from ..sentences import counted
from .job import ExplainJob, RunOptions
from .loop import worker_count, workers_of
from .memory import MemoryReservation
from .prefetch import UNRESERVED, fetched
from .progress import Observer, Progress
from .resume import is_current
from .stop import Stop

#: Share of the peaks that lie at or below the scale.
_BELOW = 0.99
#: Rows per write. A kill between the files and their rows leaves at most so many images to be explained again.
_CHUNK = 64


class _NotDrawn(NamedTuple):
    """A row that could not be drawn, and the reason."""

    row: ImageRow
    reason: str


def has_run_scale(job: RunOptions) -> bool:
    """Whether the maps of a job are drawn on one scale."""
    return isinstance(job, ExplainJob) and job.rendering.scale == RUN


def run_scales(rows: Iterable[ImageRow]) -> dict[str, float]:
    """Raw value with the strongest colour for each method: the 99th percentile of the peaks of its maps."""
    peaks: dict[str, array[float]] = {}
    for row in rows:
        for one in row.get("maps", ()):
            if (peak := _shown_peak(one)) is not None:
                peaks.setdefault(one["method"], array("d")).append(peak)
    return {method: sorted(found)[math.ceil(_BELOW * (len(found) - 1))] for method, found in sorted(peaks.items())}


def are_drawn(rows: Iterable[ImageRow]) -> bool:
    """Whether all maps of a run are drawn on the scales of the run."""
    drawn: dict[str, set[float | None]] = {}

    def noted() -> Iterator[ImageRow]:
        for row in rows:
            for one in row.get("maps", ()):
                if _shown_peak(one) is not None:
                    drawn.setdefault(one["method"], set()).add(one.get("colour_scale"))
            yield row

    scales = run_scales(noted())
    return all(drawn[method] == {scale} for method, scale in scales.items())


def _shown_peak(one: MapRow) -> float | None:
    """Magnitude of a map at its peak; None for a blank map."""
    peak = one.get("peak")
    return None if peak is None or one.get("area") is None else abs(peak)


def draw_on_run_scale(
    job: RunOptions,
    folder: OutputFolder,
    sources: Sequence[Source],
    fingerprint: Mapping[str, Any],
    progress: Progress,
    observer: Observer,
    stop: Stop,
) -> dict[str, float]:
    """Draws the maps that are not on the scale of the run yet, and returns the scales by method; {} for other jobs.

    If an image has become unreadable, removes its coloured files, which may have another scale, keeps its row and
    warns. Ends early after a signal. Raises `CamxError` if the folder cannot be written.
    """
    if not isinstance(job, ExplainJob) or not has_run_scale(job):
        return {}
    scales = run_scales(folder.journal.rows(source.key for source in sources))
    rendering = dataclasses.replace(job.rendering, scales=tuple(scales.items()))
    todo = [source for source, row in _rows_of(folder, sources) if _is_due(row, rendering)]
    if not todo:
        return scales
    preprocessing = Preprocessing(**{name: _tuples(one) for name, one in fingerprint["preprocessing"].items()})
    decode = partial(
        load,
        preprocessing=preprocessing,
        canvas=rendering.size,
        max_pixels=job.max_pixels,
        pixels=job.pixels,
        # The network does not run, so nothing has to be on its device.
        decoding="exact" if job.decode == "device" else job.decode,
    )
    fine = frozenset(name for name in scales if METHODS[name].grid == "pixels")
    with workers_of(job, len(todo)) as workers:
        memory = MemoryReservation(picture_memory(job.processes))
        drawing = _Drawing(folder, Redrawer(rendering, decode, fine), workers, memory)
        not_drawn: list[_NotDrawn] = []
        rows: list[ImageRow] = []
        count = worker_count(job.workers, job.processes)
        for done, result in enumerate(drawing.results(_rows_of(folder, todo), count, stop), 1):
            if isinstance(result, _NotDrawn):
                not_drawn.append(result)
                rows.append(without_colours(result.row))
            else:
                rows.append(result)
            if len(rows) == _CHUNK:
                folder.append(rows)
                rows.clear()
            progress.drawn = (done, len(todo))
            observer.advanced(progress)
        folder.append(rows)
        progress.drawn = None
    if not_drawn:
        first = not_drawn[0]
        observer.warned(
            f"{counted(len(not_drawn), 'image')} could not be drawn on the scale of the run "
            f"({first.row['image']}: {first.reason}). The rows stay; the same command tries again."
        )
    return scales


@dataclass(frozen=True)
class _Drawing:
    """Draws rows in worker processes and writes their files."""

    folder: OutputFolder
    draw: Redrawer
    workers: Workers
    memory: MemoryReservation

    def results(
        self, rows: Iterable[tuple[Source, ImageRow]], count: int, stop: Stop
    ) -> Iterator[ImageRow | _NotDrawn]:
        """Yields the rows with their new files, in order, until a signal."""
        running: deque[Future[ImageRow | _NotDrawn]] = deque()
        with ThreadPoolExecutor(count, "scale") as pool:
            for source, row in rows:
                if stop.signal is not None:
                    break
                running.append(pool.submit(self._one, source, row))
                if len(running) > 2 * count:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()

    def _one(self, source: Source, row: ImageRow) -> ImageRow | _NotDrawn:
        if not is_current(source, row):
            return _NotDrawn(row, "the image has changed or is missing")
        try:
            found = self._drawn(source, row)
            if isinstance(found, Unreadable):
                return _NotDrawn(row, found.reason)
            for name, data in found.files.items():
                self.folder.write(name, data)
        except (WorkerFailed, UnreadableImage) as error:
            return _NotDrawn(row, str(error))
        return found.row

    def _drawn(self, source: Source, row: ImageRow) -> Rendered | Unreadable:
        arrays = [self._array(row, one.get("array")) for one in row["maps"]]
        work = partial(self.draw, row=row, arrays=arrays)
        image = Fetched(source, fetched(source)) if is_remote(source.path) else source
        found = self.workers.call(partial(work, unreserved=UNRESERVED), image)
        if not isinstance(found, TooLarge):
            return found
        with self.memory.reserve(found.bytes):
            whole = self.workers.call(work, image)
        assert not isinstance(whole, TooLarge)
        return whole

    def _array(self, row: ImageRow, name: str | None) -> bytes | None:
        """Bytes of the array of a map: empty if the file is missing or damaged, None for a map without array."""
        if name is None:
            return None
        data = self.folder.content(name)
        return data if data is not None and is_intact(row, name, data) else b""


def _rows_of(folder: OutputFolder, sources: Iterable[Source]) -> Iterator[tuple[Source, ImageRow]]:
    """Explained images with their rows."""
    for source in sources:
        for row in folder.journal.rows([source.key]):
            if row["status"] == OK:
                yield source, row


def _is_due(row: ImageRow, rendering: Rendering) -> bool:
    """Whether a map of a row is not drawn, or drawn on another scale."""
    wanted = COLOURED & {*kinds_of(rendering)}
    maps = [one for one in row["maps"] if _shown_peak(one) is not None]
    return any(one.get("colour_scale") != rendering.scale_of(one["method"]) or not wanted <= one.keys() for one in maps)


def _tuples(value: Any) -> Any:
    """Value of a fingerprint with tuples instead of the lists of JSON."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
