"""A folder of results goes to a tracker: at the end of a run, or from any machine later."""

from __future__ import annotations

from collections.abc import Callable

from ..run_layout import ACTIVATIONS_TABLE, JOURNAL, RECORD, TABLE
from .activations_log import sheets
from .explain_log import explained
from .results import ResultsFolder
from .tracker import Scalar, Tracker, Value
from .training_log import epochs, trained


def push(results: ResultsFolder, tracker: Tracker, cap: int, say: Callable[[str], None]) -> None:
    """Log a folder of results as a run of its own, or as more of the run that its results belong to already.

    `cap` limits the rows of tables with pictures.
    """
    tracker.begin(results.about())
    if results.command == "train-gap":
        for values, at in epochs(results):
            tracker.log(values, at)
    summary = log_results(results, tracker, cap, say)
    tracker.finish(summary, 0 if results.record.get("state") == "finished" else 1)


def log_results(results: ResultsFolder, tracker: Tracker, cap: int, say: Callable[[str], None]) -> dict[str, Scalar]:
    """Log what a finished run comes down to, and return the summary."""
    values, summary, words = _content(results, cap)
    tracker.log(values)
    for word in words:
        say(word)
    record = results.record
    seconds = record.get("seconds")
    return {
        **summary,
        "seconds": sum(seconds.values()) if isinstance(seconds, dict) else seconds,
        "images_per_second": record.get("images_per_second"),
    }


def _content(results: ResultsFolder, cap: int) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    if results.command == "train-gap":
        return trained(results)
    read, table = (sheets, ACTIVATIONS_TABLE) if results.command == "activations" else (explained, TABLE)
    values, summary, words = read(results, cap)
    return {**values, "results": results.files((table, JOURNAL, RECORD))}, summary, words
