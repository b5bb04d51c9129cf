"""`camx evaluate`: are the maps of a run where the objects are?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from cam_cli.errors import CamxError

from . import flags
from .console import fail, out, out_json
from .options import BEHAVIOUR, EXPLANATION, INPUT, OUTPUT, option, words

if TYPE_CHECKING:
    from cam_cli.evaluation.localise import Localisation, MapSet

Truth = Annotated[
    str | None,
    option(INPUT, "--truth", help="Boxes or masks: COCO JSON, a folder of VOC, YOLO or mask files, or a CSV."),
]
TruthFormat = Annotated[str, option(INPUT, "--truth-format", help="auto, coco, voc, yolo, csv, masks.")]
Names = Annotated[
    str | None, option(INPUT, "--names", help="CSV truth,model: which class of the network a class of the truth is.")
]
_THRESHOLD_HELP = "Of the boxes, a share of the peak; auto: the best one for the images held apart."
Threshold = Annotated[str, option(EXPLANATION, "--threshold", help=_THRESHOLD_HELP)]
Calibrate = Annotated[float, option(EXPLANATION, "--calibrate", help="Share of the images held apart for that.")]
By = Annotated[str | None, option(EXPLANATION, "--by", help="Attributes whose groups are measured, with commas.")]
MinGroup = Annotated[int, option(EXPLANATION, "--min-group", help="Smaller groups are not judged.", min=1)]
Confidence = Annotated[float, option(EXPLANATION, "--confidence", help="Level of the intervals.")]
_FAIL_HELP = "Exit with 1 where this holds for sure: 'pointing < 0.8', 'energy_gain < 0.1'. Repeatable."
FailIf = Annotated[list[str] | None, option(BEHAVIOUR, "--fail-if", help=_FAIL_HELP)]
Partial = Annotated[bool, option(BEHAVIOUR, "--partial", help="Take a run that is not finished.")]
JUnit = Annotated[str | None, option(OUTPUT, "--junit", help="Write the gates as JUnit XML to this file.")]
Output = Annotated[str | None, option(OUTPUT, "--output", "-o", help="Folder for the figures. [default: OUT/evaluate]")]


def evaluate(
    run: Annotated[str, typer.Argument(metavar="OUT", help="The --output of `camx explain`.")],
    truth: Truth = None,
    truth_format: TruthFormat = "auto",
    names: Names = None,
    threshold: Threshold = "auto",
    calibrate: Calibrate = 0.2,
    by: By = None,
    min_group: MinGroup = 10,
    confidence: Confidence = 0.95,
    fail_if: FailIf = None,
    partial: Partial = False,
    output: Output = None,
    junit: JUnit = None,
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> int:
    """Score the maps of a run against boxes or masks; needs no model. Exit code 1 where a gate fails."""
    from cam_cli.evaluation.files import FOLDER, junit_file, summary, write_files
    from cam_cli.evaluation.localise import localise
    from cam_cli.evaluation.options import LocaliseOptions
    from cam_cli.gates import append_step_summary, exit_code, gates_table
    from cam_cli.outputs.store import write_file

    if truth is None:
        raise CamxError("`camx evaluate` needs to know where the objects are. Give --truth FILE or a folder.")
    options = LocaliseOptions(
        truth=truth,
        truth_format=truth_format,
        names=names,
        threshold=threshold,
        calibrate=calibrate,
        by=words("--by", by) if by else (),
        fail_if=tuple(fail_if or ()),
        min_group=min_group,
        confidence=confidence,
        partial=partial,
    )
    found = localise(run, options)
    write_files(found, output or os.path.join(run, FOLDER))
    if junit:
        write_file(junit, junit_file(found))
    append_step_summary(gates_table(found.gates))
    if as_json:
        out_json(summary(found))
    elif not quiet:
        out("\n".join(_lines(found)))
    for gate in found.gates:
        if gate.verdict != "pass":
            fail(f"{gate.verdict}: {gate.text}: {gate.sentence}")
    return exit_code(found.gates)


def _lines(found: Localisation) -> list[str]:
    """The summary for people: each metric beside the baseline in the middle of the picture."""
    lines = [f"{found.images} images with truth ({found.truth_format})"]
    for one in found.sets:
        lines += _of_set(found, one)
    if found.problems.found:
        counted = ", ".join(f"{count} {reason}" for reason, count in found.problems.counts().items())
        lines.append(f"left out: {counted} (left_out.csv names them)")
    return [*lines, *found.notes]


def _of_set(found: Localisation, one: MapSet) -> list[str]:
    place = one.chosen.ours
    threshold = "none" if place is None else f"{found.thresholds[place]:.2f} of the peak"
    lines = [f"{one.method}, {one.layer}: {len(one.scores.cases)} maps of the true class, threshold {threshold}"]
    measured = one.whole
    if not one.scores.cases:
        measured = one.whole_other
    elif one.other.cases:
        lines.append(f"  {len(one.other.cases)} maps of a wrong class are measured apart (summary.json)")
    for name, (figure,) in measured.figures.items():
        if figure.n:
            interval = f"[{figure.low:.3f}, {figure.high:.3f}]"
            lines.append(f"  {name:<15} {figure.value:.3f} {interval}   centre {figure.baseline:.3f}   n = {figure.n}")
    return lines
