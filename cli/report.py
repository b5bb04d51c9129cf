"""`camx report`: writes the report of an existing run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cam_cli.options import Flag

from .bind import Command
from .browser import open_page
from .remote_folders import fetched
from .terminal import Reporter, out


@dataclass(frozen=True)
class ReportJob:
    """Options of `camx report`."""

    output: Annotated[str, Flag("Output folder of a run over images, or of a training.", argument=True)]
    single_file: Annotated[bool, Flag("Put everything into one file for any number of images, up to 400 MB.")] = False
    open_report: Annotated[bool, Flag("Open the page in a browser.", name="open")] = False


@fetched("output")
def report(job: ReportJob) -> int:
    """Write report/index.html of a run, finished or not, from its files. Needs no model and no GPU."""
    from cam_cli.report import build_report

    warned = Reporter(quiet=False, verbose=False, color=True).warned
    out(page := build_report(job.output, warned=warned, single_file=job.single_file))
    if job.open_report:
        open_page(page)
    return 0


COMMAND = Command(
    report,
    examples={
        "camx report camx-out": "works for an interrupted run, too",
        "camx report camx-out --single-file": "one file to send, even for thousands of images",
    },
    page="report.md",
)
