"""`camx evaluate`: are the maps of a run where the objects are?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cam_cli.errors import CamxError
from cam_cli.evaluation.options import LocaliseOptions
from cam_cli.options import OUTPUT, Flag
from cam_cli.sentences import counted

from .bind import Command
from .config import CONFIG
from .run_command import AsJson, Quiet
from .terminal import fail, out, out_json

if TYPE_CHECKING:
    from cam_cli.evaluation.records import Localisation, MapSet


@dataclass(frozen=True)
class EvaluateJob:
    """The run folder, the truth, and the options of the evaluation."""

    run: Annotated[str, Flag("The --output of `camx explain`.", argument=True, metavar="OUT")]
    localise: LocaliseOptions = LocaliseOptions()
    output: Annotated[
        str | None, Flag("Folder for the figures; OUT/evaluate if none is given.", short="-o", panel=OUTPUT)
    ] = None
    junit: Annotated[
        str | None, Flag("Write the gates as JUnit XML to this file.", panel=OUTPUT, example="gates.xml")
    ] = None
    config: Annotated[str | None, CONFIG] = None
    as_json: AsJson = False
    quiet: Quiet = False


def evaluate(job: EvaluateJob) -> int:
    """Score the maps of a run against boxes or masks; needs no model. Exit code 1 where a gate fails."""
    from cam_cli.evaluation.files import FOLDER, junit_file, summary, write_files
    from cam_cli.evaluation.localise import localise
    from cam_cli.gates import append_step_summary, exit_code, gates_table
    from cam_cli.outputs.derived import write_beside

    if job.localise.truth is None:
        raise CamxError("`camx evaluate` needs to know where the objects are.", "Give --truth FILE or a folder.")
    found = localise(job.run, job.localise)
    write_files(found, job.output or os.path.join(job.run, FOLDER))
    if job.junit:
        write_beside(job.junit, junit_file(found))
    append_step_summary(gates_table(found.gates))
    if job.as_json:
        out_json(summary(found))
    elif not job.quiet:
        out("\n".join(_lines(found)))
    for gate in found.gates:
        if gate.verdict != "pass":
            fail(f"{gate.verdict}: {gate.text}: {gate.sentence}")
    return exit_code(found.gates)


def _lines(found: Localisation) -> list[str]:
    """The summary for people: each metric beside the baseline in the middle of the image."""
    lines = [f"{counted(found.images, 'image')} with truth ({found.truth_format})"]
    for one in found.sets:
        lines += _of_set(found, one)
    if found.problems.found:
        problems = ", ".join(f"{count} {reason}" for reason, count in found.problems.counts().items())
        lines.append(f"left out: {problems} (left_out.csv names them)")
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
        lines.append(f"  measured apart: {counted(len(one.other.cases), 'map')} of a wrong class (summary.json)")
    for name, (figure,) in measured.figures.items():
        if figure.n:
            interval = f"[{figure.low:.3f}, {figure.high:.3f}]"
            lines.append(f"  {name:<15} {figure.value:.3f} {interval}   centre {figure.baseline:.3f}   n = {figure.n}")
    return lines


COMMAND = Command(
    evaluate,
    examples={
        "camx evaluate camx-out --truth instances.json": "every score beside that of a map in the middle",
        "camx evaluate camx-out --truth labels/ --fail-if 'pointing < 0.8'": "exit code 1 where that holds for sure",
    },
    page="evaluate.md",
)
