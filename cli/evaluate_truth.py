"""`camx evaluate OUT --truth`: compares the maps of a run with boxes or masks."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cam_cli.errors import CamxError
from cam_cli.sentences import counted

from .gates import conclude, write_markdown

if TYPE_CHECKING:
    from cam_cli.evaluation.options import LocaliseOptions
    from cam_cli.evaluation.records import Localisation, MapSet

    from .run_command import RunFlags


def evaluate_truth(
    runs: Sequence[str], options: LocaliseOptions, output: str | None, junit: str | None, run: RunFlags, *, page: bool
) -> int:
    """Scores the maps of a finished run, writes figures and gates, and returns the exit code."""
    from cam_cli.evaluation.files import FOLDER, junit_file, summary, write_files
    from cam_cli.evaluation.localise import localise
    from cam_cli.gates import gates_table
    from cam_cli.outputs.derived import write_beside

    if len(runs) != 1:
        raise CamxError(f"{len(runs)} folders are given, but `truth` is compared with one run.", "Give one folder.")
    if output and run.tracking.wanted:
        raise CamxError(
            "Trackers read the figures from the folder of the run, not from `output`.",
            "Leave `output` out.",
            field="output",
        )
    found = localise(runs[0], options)
    folder = output or os.path.join(runs[0], FOLDER)
    write_files(found, folder)
    if page:
        from cam_cli.report.evaluation import build_localisation

        build_localisation(folder, found)
    write_markdown(gates_table(found.gates), run.summary_file)
    if junit:
        write_beside(junit, junit_file(found))
    if run.tracking.wanted:
        _log(runs[0], run)
    return conclude(
        found.gates,
        lines=[
            *map(run.names.in_flags, _lines(found)),
            *(f"{gate.verdict.upper()} {gate.text}: {gate.sentence}" for gate in found.gates),
        ],
        summary=summary(found),
        markdown=gates_table(found.gates),
        as_json=run.as_json,
        quiet=run.quiet,
    )


def _log(path: str, run: RunFlags) -> None:
    """Logs the run with its figures. Errors are only warnings, because the figures are written."""
    from .terminal import Reporter
    from .tracking import log_folder

    reporter = Reporter(quiet=run.quiet, verbose=run.verbose, color=not run.no_color, names=run.names)
    try:
        log_folder(path, run.tracking, reporter)
    except CamxError as error:
        reporter.warned(str(error))
    finally:
        reporter.close()


def _lines(found: Localisation) -> list[str]:
    """Printed summary: each metric with the centre baseline."""
    lines = [f"{counted(found.images, 'image')} with truth ({found.truth_format})"]
    for one in found.sets:
        lines += _of_set(found, one)
    if found.problems.found:
        problems = ", ".join(f"{reason} {count}" for reason, count in found.problems.counts().items())
        lines.append(f"left out: {problems} (listed in left_out.csv)")
    return [*lines, *found.notes]


def _of_set(found: Localisation, one: MapSet) -> list[str]:
    place = one.chosen.ours
    threshold = "none" if place is None else f"{found.thresholds[place]:.2f} of the peak"
    lines = [
        f"{one.method}, {one.layer}: {counted(len(one.scores.cases), 'map')} of the true class, threshold {threshold}"
    ]
    measured = one.whole
    if not one.scores.cases:
        measured = one.whole_other
    elif one.other.cases:
        lines.append(f"    measured separately: {counted(len(one.other.cases), 'map')} of a wrong class (summary.json)")
    for name, (figure,) in measured.figures.items():
        if figure.n:
            interval = f"[{figure.low:.3f}, {figure.high:.3f}]"
            # If the held-out images chose no threshold, the baseline has no boxes and no scores of boxes.
            centre = "–" if math.isnan(figure.baseline) else f"{figure.baseline:.3f}"
            lines.append(f"  {name:<15} {figure.value:.3f} {interval}   centre {centre}   n = {figure.n}")
    return lines
