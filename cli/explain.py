"""`camx explain`: runs an `ExplainJob` and returns the exit code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cam_cli.errors import CamxError
from cam_cli.gate_options import GateOptions
from cam_cli.options import GATES, OUTPUT, Flag, check
from cam_cli.pipeline.job import ExplainJob
from cam_cli.run_layout import REPORT
from cam_cli.sentences import counted

from .bind import Command
from .browser import open_page
from .run_command import Ending, RunFlags, run_command
from .run_summary import Words

if TYPE_CHECKING:
    from cam_cli.gates import GateResult
    from cam_cli.gates.junit import TestCase
    from cam_cli.pipeline import Summary

WORDS = Words(done="explained", layer="target layer", table="predictions.csv")


@dataclass(frozen=True)
class Afterwards(GateOptions):
    """Options of gates, files and pages at the end of a run."""

    junit: Annotated[
        str | None,
        Flag(
            "Write gates and failed images as JUnit XML to this file.",
            panel=GATES,
            metavar="FILE",
            example="camx.xml",
        ),
    ] = None
    open_report: Annotated[bool, Flag("Open the report in a browser at the end.", name="open", panel=OUTPUT)] = False

    def __post_init__(self) -> None:
        check(self)


def explain(job: ExplainJob, run: RunFlags, afterwards: Afterwards) -> int:
    """Explain images with class activation maps: an overlay per image, a table of top-k classes, and a report."""
    if afterwards.fail_if:
        from cam_cli.audit.plan import check_conditions

        check_conditions(afterwards.fail_if)
        if job.shard is not None or "://" in job.output:
            raise CamxError(
                "`fail_if` needs all images in one local folder.",
                "Give the gates to `camx audit` when the run is complete.",
                field="fail_if",
            )
    return run_command(job, run, WORDS, partial(_ending, job, afterwards))


def _ending(job: ExplainJob, afterwards: Afterwards, summary: Summary) -> Ending:
    """Judges the gates, writes the JUnit file and opens the report."""
    from cam_cli.audit.audit import audit
    from cam_cli.audit.options import AuditOptions
    from cam_cli.gates import exit_code, gates_table, junit
    from cam_cli.outputs.derived import write_beside

    gates: Sequence[GateResult] = ()
    if afterwards.fail_if:
        gates = audit(job.output, AuditOptions(fail_if=afterwards.fail_if, confidence=afterwards.confidence)).gates
    if afterwards.junit:
        write_beside(afterwards.junit, junit("explain", gates, images_as_tests(summary)))
    if afterwards.open_report:
        open_page(os.path.join(job.output, REPORT))
    judged = [f"{gate.verdict.upper()} {gate.text}: {gate.sentence}" for gate in gates]
    return Ending(
        {"gates": [gate.as_dict() for gate in gates]} if gates else {}, judged, exit_code(gates), gates_table(gates)
    )


def images_as_tests(summary: Summary) -> list[TestCase]:
    """One test per failed image, and one for all others."""
    from cam_cli.gates.junit import TestCase

    explained = summary.plan.images - summary.failed
    passed = TestCase(f"{counted(explained, 'image')} explained") if explained else None
    failed = [TestCase(one.image, one.reason) for one in summary.progress.failures]
    return [*([passed] if passed else []), *failed]


COMMAND = Command(
    explain,
    examples={
        "camx explain ./images --model resnet50": "pretrained, by name",
        "camx explain ./images --model resnet50 --checkpoint best.pth": "your weights, any number of classes",
        "camx explain ./val --model resnet50 --labels folder --target label": "maps of the true class",
        "camx explain photo.jpg --model vit_base_patch16_224 --target top:3": "three maps from one forward",
        "camx explain ./images --model resnet50 --config configs/ci.toml": "JSON; exit code 1 if an image fails",
        "camx explain ./val --model resnet50 --labels folder --fail-if 'accuracy < 0.9'": "exit code 1 if proven",
    },
    page="report.md",
)
