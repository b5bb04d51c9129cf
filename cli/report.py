"""`camx report`: writes the page of an existing run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cam_cli.options import Flag

from .bind import Command
from .terminal import Reporter, out


@dataclass(frozen=True)
class ReportJob:
    """The run folder."""

    output: Annotated[str, Flag("The --output of a run of explain, activations, evaluate or train-gap.", argument=True)]


def report(job: ReportJob) -> int:
    """Write report/index.html of a run, finished or not, from its files; needs no model and no GPU."""
    from cam_cli.report import build_report

    out(build_report(job.output, warned=Reporter(quiet=False, verbose=False, color=True).warned))
    return 0


COMMAND = Command(
    report,
    examples={
        "camx report camx-out": "also of a run that was killed",
    },
    page="report.md",
)
