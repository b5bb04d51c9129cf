"""Expands files with several frames to one source per frame, as the job requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from ..errors import UnreadableImage
from ..images.decode import count_frames, memory_limit, read
from ..images.keys import distinct_key
from ..images.listing import Inputs, Source
from ..images.options import ALL, FIRST
from ..images.picture import Fetched
from ..images.remote import fetch, is_remote
from ..images.worker_process import WorkerFailed
from ..images.workers import Workers
from .job import RunOptions
from .loop import worker_count

#: Extensions of formats with several frames.
_SEVERAL = (".avif", ".gif", ".png", ".tif", ".tiff", ".webp")


def with_frames(inputs: Inputs, job: RunOptions) -> Inputs:
    """Inputs with the requested frames: `all` gives a source for each frame, a number that frame of every file. The key
    of a frame is that of its file with its number: `a.tif#2`.

    A file whose frames cannot be counted stays one image; its row has the reason.
    """
    frames = job.pixels.frames
    if frames == FIRST:
        return inputs
    taken = {source.key: None for source in inputs.sources}
    if frames != ALL:
        numbered = [_frame(source, int(frames), taken) for source in inputs.sources]
        return replace(inputs, sources=tuple(numbered))
    several = [
        source for source in inputs.sources if os.path.splitext(source.path)[1].lower() in _SEVERAL or source.span
    ]
    counts = dict(zip((source.key for source in several), _counts(several, job)))
    sources = [one for source in inputs.sources for one in _all_frames(source, counts.get(source.key, 1), taken)]
    return replace(inputs, sources=tuple(sources[: job.limit]))


def _all_frames(source: Source, count: int, taken: dict[str, None]) -> Iterator[Source]:
    if count == 1:
        yield source
    else:
        for number in range(1, count + 1):
            yield _frame(source, number, taken)


def _frame(source: Source, number: int, taken: dict[str, None]) -> Source:
    key = distinct_key(f"{source.key}#{number}", source.path, taken)
    taken[key] = None
    return replace(source, key=key, frame=number)


def _counts(sources: list[Source], job: RunOptions) -> list[int]:
    """Number of frames of each file, counted in worker processes, so that a broken file does not end the run."""
    count = min(worker_count(job.workers, job.processes), len(sources))
    if not count:
        return []
    with (
        Workers(count, timeout=job.image_timeout, memory=memory_limit(job.max_pixels)) as workers,
        ThreadPoolExecutor(count, "frames") as pool,
    ):

        def counted(source: Source) -> int:
            try:
                remote = is_remote(source.path)
                image = Fetched(source, fetch(source.path, source.span)) if remote else source
                return workers.call(partial(_count, max_pixels=job.max_pixels), image)
            except (WorkerFailed, UnreadableImage):
                return 1

        return list(pool.map(counted, sources))


def _count(image: Source | Fetched, max_pixels: int) -> int:
    try:
        data = image.data if isinstance(image, Fetched) else read(image.path, image.span)
        return count_frames(data, max_pixels=max_pixels)
    except UnreadableImage:
        return 1
