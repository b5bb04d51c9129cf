"""Logs a run folder to a tracker: at the end of a run, or later from any machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ..errors import CamxError
from ..outputs.run_folder import ACTIVATIONS, ASK, CAPTION, EVALUATE, EXPLAIN, TRAIN_GAP, RunFolder
from ..run_layout import (
    ACTIVATIONS_TABLE,
    ANSWERS_TABLE,
    CAPTIONS_TABLE,
    DERIVED,
    FAITHFULNESS_TABLE,
    JOURNAL,
    RECORD,
    TABLE,
)
from .activations_log import activations_log
from .answers_log import answers_log
from .caption_log import caption_log
from .derived_log import derived_log
from .explain_log import explain_log
from .results import files_of, run_info
from .tracker import Scalar, Tracker, Value
from .training_log import epochs, training_log

#: Function that returns the values and tables of a run folder, by command.
_TABLES = {
    EXPLAIN: (explain_log, TABLE),
    ACTIVATIONS: (activations_log, ACTIVATIONS_TABLE),
    EVALUATE: (explain_log, FAITHFULNESS_TABLE),
    CAPTION: (caption_log, CAPTIONS_TABLE),
    ASK: (answers_log, ANSWERS_TABLE),
}


def push(run: RunFolder, tracker: Tracker, cap: int, say: Callable[[str], None]) -> None:
    """Logs a run folder to a new run, or continues the run to which its results already belong.

    `cap` limits the rows of tables with images.
    """
    tracker.begin(run_info(run.path, run.record))
    try:
        if run.command == TRAIN_GAP:
            for values, at in epochs(run):
                tracker.log(values, at)
        summary = log_results(run, tracker, cap, say)
    except BaseException:
        # Closes the run of the tracker as failed, so that the next push can continue it.
        with contextlib.suppress(Exception):
            tracker.finish({}, 1)
        raise
    tracker.finish(summary, 0 if run.complete else 1)


def log_results(run: RunFolder, tracker: Tracker, cap: int, say: Callable[[str], None]) -> dict[str, Scalar]:
    """Logs the results of a finished run and returns the summary."""
    values, summary, words = _content(run, cap)
    tracker.log(values)
    for word in (*words, *run.problems()):
        say(word)
    seconds = run.record.get("seconds")
    return {
        **summary,
        "seconds": sum(seconds.values()) if isinstance(seconds, dict) else seconds,
        "images_per_second": run.record.get("images_per_second"),
    }


def _content(run: RunFolder, cap: int) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    if run.command == TRAIN_GAP:
        return training_log(run)
    if run.command not in _TABLES:
        raise CamxError(
            f"{run.path!r} holds results of `camx {run.command}`, which this version of camx cannot log. Update camx."
        )
    read, table = _TABLES[run.command]
    values, summary, words = read(run, cap)
    more, figures, problems = derived_log(run)
    files = files_of(run, (table, JOURNAL, RECORD, *DERIVED))
    return {**values, **more, "results": files}, {**summary, **figures}, [*words, *problems]
