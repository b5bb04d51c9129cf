"""`camx patterns`: finds the cues that a network uses over a whole folder, and judges gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from cam_cli.options import FILLED, OUTPUT, Flag
from cam_cli.patterns.options import PatternsOptions

from .bind import Command
from .config import CONFIG, ISOLATED
from .gates import Junit, SummaryFile, conclude, write_markdown
from .names import Names
from .remote_folders import fetched
from .run_command import AsJson, NoColor, Quiet
from .terminal import Reporter


@dataclass(frozen=True)
class PatternsJob:
    """Options of `camx patterns`."""

    output: Annotated[str, Flag("Output folder of `camx explain --save spots`.", argument=True, metavar="OUT")]
    patterns: PatternsOptions = PatternsOptions()
    report: Annotated[bool, Flag("Do not write the page.", panel=OUTPUT, only_off=True)] = True
    junit: Junit = None
    summary_file: SummaryFile = None
    config: Annotated[str | None, CONFIG] = None
    isolated: Annotated[bool, ISOLATED] = False
    as_json: AsJson = False
    quiet: Quiet = False
    no_color: NoColor = False
    names: Annotated[Names, FILLED] = Names()
    command: Annotated[str, FILLED] = ""
    origins: Annotated[Mapping[str, str], FILLED] = field(default_factory=dict, compare=False)


@fetched("output")
def patterns(job: PatternsJob) -> int:
    """Find the cues that a network uses: features under the peaks of its maps, clustered over all images.

    Reads the rows and spots of a finished run, and writes OUT/patterns. Only --check needs a model. Exit code 1
    if a gate fails.
    """
    from cam_cli.patterns.find import find_patterns
    from cam_cli.patterns.summary import lines, markdown, summary
    from cam_cli.patterns.write import write

    reporter = Reporter(quiet=job.quiet, verbose=False, color=not job.no_color)
    found = find_patterns(job.output, job.patterns)
    if job.patterns.check:
        # Loads the network, and with it torch.
        from cam_cli.pipeline.check import CheckRequest, check_patterns
        from cam_cli.pipeline.stop import Stop

        with Stop() as stop:
            asked = CheckRequest(job.command, job.origins)
            found = check_patterns(found, job.patterns, reporter, stop, asked)
    write(job.output, found, job.patterns, job.junit)
    text = job.names.in_flags(markdown(found))
    write_markdown(text, job.summary_file)
    if job.report:
        from cam_cli.report.patterns import build_patterns

        reporter.inform(build_patterns(job.output, found))
    return conclude(
        found.gates,
        lines=map(job.names.in_flags, lines(found)),
        summary=summary(found, job.patterns),
        markdown=text,
        as_json=job.as_json,
        quiet=job.quiet,
    )


COMMAND = Command(
    patterns,
    examples={
        "camx explain ./train --model best.pth --labels folder --save overlay,spots": "store features of the peaks",
        "camx patterns camx-out": "OUT/patterns/index.html shows each cue as a strip of crops",
        "camx patterns camx-out --class cat --patterns 12": "one class, twelve patterns",
        "camx patterns camx-out --check 50": "test whether the network depends on flagged patterns; needs its weights",
        "camx patterns camx-out --check 50 --fail-if 'logit_drop > 1 if same_place'": "exit code 1 if it does",
        "camx patterns camx-out --fail-if 'pattern_share > 0.2 if same_place'": "exit code 1 if that is proven",
    },
    page="patterns.md",
)
