"""Ends a run with gates, a JUnit file and the report in a browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cam_cli.errors import CamxError
from cam_cli.gate_options import GateOptions
from cam_cli.options import GATES, OUTPUT, Flag, check
from cam_cli.run_layout import REPORT
from cam_cli.sentences import counted

from .browser import open_page
from .run_command import Ending

if TYPE_CHECKING:
    from cam_cli.gates import GateResult
    from cam_cli.gates.junit import TestCase
    from cam_cli.pipeline import Summary
    from cam_cli.pipeline.job import RunOptions


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


def expect_whole(job: RunOptions, hint: str) -> None:
    """Raises `CamxError` for gates on a part of the images, or on a folder in a store."""
    if job.shard is not None or "://" in job.output:
        raise CamxError("`fail_if` needs all images in one local folder.", hint, field="fail_if")


def judged_ending(
    command: str,
    output: str,
    afterwards: Afterwards,
    summary: Summary,
    judge: Callable[[], Sequence[GateResult]],
    *,
    more: Mapping[str, Any] | None = None,
    lines: Sequence[str] = (),
) -> Ending:
    """Judges the gates, writes the JUnit file and opens the report. more, lines: additions of the command to the
    summary."""
    from cam_cli.gates import exit_code, gates_table, junit
    from cam_cli.outputs.derived import write_beside

    gates = judge() if afterwards.fail_if else ()
    if afterwards.junit:
        write_beside(afterwards.junit, junit(command, gates, images_as_tests(summary)))
    if afterwards.open_report:
        open_page(os.path.join(output, REPORT))
    verdicts = [f"{gate.verdict.upper()} {gate.text}: {gate.sentence}" for gate in gates]
    found = {**(more or {}), **({"gates": [gate.as_dict() for gate in gates]} if gates else {})}
    return Ending(found, [*lines, *verdicts], exit_code(gates), gates_table(gates))


def images_as_tests(summary: Summary) -> list[TestCase]:
    """One test per failed image, and one for all others."""
    from cam_cli.gates.junit import TestCase

    explained = summary.plan.images - summary.failed
    passed = TestCase(f"{counted(explained, 'image')} explained") if explained else None
    failed = [TestCase(one.image, one.reason) for one in summary.progress.failures]
    return [*([passed] if passed else []), *failed]
