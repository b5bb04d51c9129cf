"""Ends a run: draws on one colour scale if requested, and derives table, record and report from the journal."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..errors import CamxError
from ..images.listing import Inputs
from ..outputs.folder import OutputFolder
from ..outputs.record import RunRecord
from ..report import build_report
from ..run_layout import TYPED_TABLES
from .looks import Looks
from .progress import Observer, Summary
from .record import record
from .run_scale import draw_on_run_scale
from .stop import Dropped, Stop
from .task import E, J, R, Table, Task


def end_state(stop: Stop, *, stopped: bool) -> str:
    """State of a run without an error: `interrupted` by a signal, `stopped` by `fail_fast`, or `finished`."""
    return "interrupted" if stop.signal else "stopped" if stopped else "finished"


@contextlib.contextmanager
def finished_if_broken(finish: Callable[[str], object]) -> Iterator[None]:
    """Calls `finish("broken")` if the block raises, so that the folder is complete, and re-raises the exception."""
    try:
        yield
    except BaseException:
        # The user needs the original error, not that the table could not be written either.
        with contextlib.suppress(CamxError, Dropped):
            finish("broken")
        raise


def finish_run(
    task: Task[J, E, R],
    folder: OutputFolder,
    inputs: Inputs,
    fingerprint: Mapping[str, Any],
    summary: Summary,
    observer: Observer,
    stop: Stop,
) -> Summary:
    """Draws the maps on one colour scale if requested, writes tables, record and report, and returns the summary.

    A shard writes only its record; the merge writes the rest. Raises `CamxError` if OUT cannot be written.
    """
    scales = {}
    if task.job.shard is None and summary.state == "finished":
        scales = draw_on_run_scale(task.job, folder, inputs.sources, fingerprint, summary.progress, observer, stop)
        if stop.signal is not None and scales:
            summary = dataclasses.replace(summary, state="interrupted", signal=stop.signal)
    content = record(task.job, fingerprint, summary)
    if scales:
        content["colour_scales"] = scales
    if task.job.shard is None:
        finish_folder(
            folder,
            task.table_of(fingerprint),
            lambda: (source.key for source in inputs.sources),
            lambda: content,
            report=task.job.report,
            observer=observer,
        )
    else:
        folder.record(content)
    return summary


def finish_folder(
    folder: OutputFolder,
    table: Table,
    keys: Callable[[], Iterable[str]],
    content: Callable[[], RunRecord],
    *,
    report: bool,
    observer: Observer,
) -> None:
    """Writes the table of the images `keys()`, then `run.json` with `content()`, then the report.

    Without a report, removes the outdated page of an earlier run. Warns about images that look wrong.
    """
    looks = Looks()
    folder.derive(table.name, keys(), lambda rows: table.render(looks.counting(rows)))
    for name, render in table.more:
        folder.derive(name, keys(), render)
    for name in {*TYPED_TABLES} - {name for name, _ in table.more}:
        # This run does not write this format, so a table of an earlier run would lack new rows.
        if folder.size(name) is not None:
            folder.remove(name)
    folder.record(content())
    if report:
        write_report(folder, keys, observer)
    else:
        folder.remove_report()
    for sentence in looks.sentences():
        observer.warned(sentence)


def write_report(folder: OutputFolder, keys: Callable[[], Iterable[str]], observer: Observer) -> None:
    """Writes the report. Errors are only warnings, because the results are complete without it."""
    try:
        build_report(folder.path, list(keys()))
        folder.publish("report")
    except Exception as error:
        observer.warned(f"The report could not be written: {error} Try again: camx report {folder.path}")
