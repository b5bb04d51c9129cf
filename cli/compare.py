"""`camx compare`: compares two runs of the same images in pairs, and judges gates."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from cam_cli.compare.options import CompareOptions
from cam_cli.options import FILLED, OUTPUT, Flag

from .bind import Command
from .config import CONFIG, ISOLATED
from .gates import Junit, SummaryFile, conclude, write_markdown
from .names import Names
from .remote_folders import fetched, require_local
from .run_command import AsJson, NoColor, Quiet
from .terminal import Reporter


@dataclass(frozen=True)
class CompareJob:
    """Options of `camx compare`."""

    a: Annotated[str, Flag("Output folder of the old run of `camx explain`.", argument=True, metavar="A")]
    b: Annotated[str, Flag("Output folder of the new run of `camx explain`.", argument=True, metavar="B", order=1)]
    compare: CompareOptions = CompareOptions()
    output: Annotated[
        str | None, Flag("Folder for the results; default: B/compare.", short="-o", panel=OUTPUT, metavar="DIR")
    ] = None
    report: Annotated[bool, Flag("Do not write the page.", panel=OUTPUT, only_off=True)] = True
    junit: Junit = None
    summary_file: SummaryFile = None
    config: Annotated[str | None, CONFIG] = None
    isolated: Annotated[bool, ISOLATED] = False
    as_json: AsJson = False
    quiet: Quiet = False
    no_color: NoColor = False
    names: Annotated[Names, FILLED] = Names()


@fetched("a", "b")
def compare(job: CompareJob) -> int:
    """Compare two runs of the same images: new and fixed errors, accuracy, and the places of the maps.

    Reads the rows of two finished runs. Needs no model and no GPU. Exit code 1 if a gate fails, 0 if all pass or warn.
    """
    require_local(job.output)
    from cam_cli.compare.compare import compare as compared
    from cam_cli.compare.summary import lines, markdown, summary
    from cam_cli.compare.write import write
    from cam_cli.run_layout import COMPARE

    found = compared(job.a, job.b, job.compare)
    folder = job.output or os.path.join(job.b, COMPARE)
    write(folder, found, job.compare, job.junit)
    text = job.names.in_flags(markdown(found))
    write_markdown(text, job.summary_file)
    if job.report:
        from cam_cli.report.comparison import build_comparison

        reporter = Reporter(quiet=job.quiet, verbose=False, color=not job.no_color)
        reporter.inform(build_comparison(folder, job.a, job.b, found, job.compare))
    return conclude(
        found.gates,
        lines=map(job.names.in_flags, lines(found)),
        summary=summary(found, job.compare),
        markdown=text,
        as_json=job.as_json,
        quiet=job.quiet,
    )


COMMAND = Command(
    compare,
    examples={
        "camx compare old-out new-out": "A is the old one",
        "camx compare old-out new-out --fail-if 'accuracy_drop > 0.01' --fail-if 'broke > 3'": "exit code 1 if proven",
        "camx compare fp32-out int8-out --equivalent-within 0.01": "exit code 1 unless equivalence is proven",
        "camx compare old-out new-out --fail-if 'map_iou < 0.3 if same'": "same prediction, other region",
    },
    page="audit.md",
)
