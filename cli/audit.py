"""`camx audit`: compares accuracy and attention between groups, and judges gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cam_cli.audit.options import AuditOptions
from cam_cli.options import FILLED, OUTPUT, Flag

from .bind import Command
from .config import CONFIG, ISOLATED
from .gates import Junit, SummaryFile, conclude, write_markdown
from .names import Names
from .remote_folders import fetched
from .run_command import AsJson, NoColor, Quiet
from .terminal import Reporter


@dataclass(frozen=True)
class AuditJob:
    """Options of `camx audit`."""

    output: Annotated[str, Flag("Output folder of `camx explain`.", argument=True, metavar="OUT")]
    audit: AuditOptions = AuditOptions()
    report: Annotated[bool, Flag("Do not add the groups to the report.", panel=OUTPUT, only_off=True)] = True
    junit: Junit = None
    summary_file: SummaryFile = None
    config: Annotated[str | None, CONFIG] = None
    isolated: Annotated[bool, ISOLATED] = False
    as_json: AsJson = False
    quiet: Quiet = False
    no_color: NoColor = False
    names: Annotated[Names, FILLED] = Names()


@fetched("output")
def audit(job: AuditJob) -> int:
    """Compare accuracy and attention between groups of images, with intervals; needs no model and no GPU.

    Reads the rows of a finished run, writes OUT/audit, and adds groups to the report. Exit code 1 if a gate fails.
    """
    from cam_cli.audit.audit import audit as audited
    from cam_cli.audit.summary import lines, markdown, summary
    from cam_cli.audit.write import write

    result = audited(job.output, job.audit)
    write(job.output, result, job.audit, job.junit)
    text = job.names.in_flags(markdown(result))
    write_markdown(text, job.summary_file)
    if job.report:
        from cam_cli.report import build_report

        reporter = Reporter(quiet=job.quiet, verbose=False, color=not job.no_color)
        reporter.inform(build_report(job.output, warned=reporter.warned))
    return conclude(
        result.gates,
        lines=map(job.names.in_flags, lines(result)),
        summary=summary(result, job.audit),
        markdown=text,
        as_json=job.as_json,
        quiet=job.quiet,
    )


COMMAND = Command(
    audit,
    examples={
        "camx explain ./val --model best.pth --labels labels.csv": "the columns sex and site become attributes",
        "camx audit camx-out --by sex,site --fail-if 'accuracy_gap > 0.04'": "exit code 1 if the gap is proven",
        "camx audit camx-out --by class --fail-if 'recall_min < 0.8'": "judge the worst class",
        "camx audit camx-out --groups sites.csv --by site --cluster patient": "images of a patient are not independent",
    },
    page="audit.md",
)
