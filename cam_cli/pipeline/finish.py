"""The end of a run, whatever it ran on: the table, the record and the report that derive from its journal."""

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
    """State of a run that no error ended: `interrupted` by a signal, `stopped` by `fail_fast`, or `finished`."""
    return "interrupted" if stop.signal else "stopped" if stopped else "finished"


@contextlib.contextmanager
def finished_if_broken(finish: Callable[[str], object]) -> Iterator[None]:
    """Leaves the folder complete, with `finish("broken")`, where the block raises; the exception goes on."""
    try:
        yield
    except BaseException:
        # What went wrong is what the user must hear of, not that the table could not be written either.
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
    """Draws what needs all maps, writes what derives from the journal of a run that has ended, and returns its summary.

    A shard leaves its record alone: the merge derives for all of them. Raises `CamxError` if OUT cannot be written.
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
            task.table,
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

    Without a report the page of an earlier run is removed: it would say what is no longer so. Warns of images that
    look wrong as a whole.
    """
    looks = Looks()
    folder.derive(table.name, keys(), lambda rows: table.render(looks.noted(rows)))
    for name, render in table.more:
        folder.derive(name, keys(), render)
    for name in {*TYPED_TABLES} - {name for name, _ in table.more}:
        # Of an earlier run that asked for it: it would lack what is new.
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
    """The results stand without the report: what goes wrong with it is a warning."""
    try:
        build_report(folder.path, list(keys()))
        folder.publish("report")
    except Exception as error:
        observer.warned(f"The report could not be written: {error} `camx report {folder.path}` tries again.")
