"""Runs a command over images: plans or executes the job, prints the summary, and chooses the exit code."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cam_cli.errors import CamxError
from cam_cli.options import BEHAVIOUR, FILLED, Flag
from cam_cli.parsers import Amount, seconds
from cam_cli.sentences import counted
from cam_cli.tracking.options import TrackingOptions

from .config import CONFIG, ISOLATED
from .gates import SummaryFile, write_markdown
from .names import Names
from .terminal import BACKENDS, Reporter, fail, out, out_json
from .tracking import follow_run

if TYPE_CHECKING:
    from cam_cli.pipeline import Observer, Plan, Stop, Summary
    from cam_cli.pipeline.job import RunOptions

    from .run_summary import Words

J = TypeVar("J", bound="RunOptions")

AsJson = Annotated[bool, Flag("Print one summary object on stdout.", name="json", panel=BEHAVIOUR)]
Quiet = Annotated[bool, Flag("Print errors only.", short="-q", panel=BEHAVIOUR)]
NoColor = Annotated[bool, Flag("Print without colours.", panel=BEHAVIOUR)]


@dataclass(frozen=True)
class RunFlags:
    """Flags of a command over images in addition to its job: failures, output and trackers."""

    tracking: TrackingOptions = TrackingOptions()
    config: Annotated[str | None, CONFIG] = None
    isolated: Annotated[bool, ISOLATED] = False
    max_failures: Annotated[
        Amount,
        Flag(
            "Number of images that may fail with exit code 0: N or P%.", panel=BEHAVIOUR, order=-1, parse=Amount.parse
        ),
    ] = Amount()
    time_limit: Annotated[
        float | None,
        Flag(
            "End cleanly after this time (90s, 30m, 2h) with exit code 143; the same command continues the run.",
            panel=BEHAVIOUR,
            order=-1,
            parse=seconds,
            example="2h",
        ),
    ] = None
    dry_run: Annotated[
        bool, Flag("Check everything and print the plan, but write nothing.", short="-n", panel=BEHAVIOUR)
    ] = False
    summary_file: SummaryFile = None
    as_json: AsJson = False
    quiet: Quiet = False
    verbose: Annotated[bool, Flag("Print more, with advice on speed.", short="-v", panel=BEHAVIOUR)] = False
    no_color: NoColor = False
    names: Annotated[Names, FILLED] = Names()
    origins: Annotated[Mapping[str, str], FILLED] = dataclasses.field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Ending:
    """Additions of a command to the summary of a run: keys of the JSON, lines, exit code, and Markdown.

    error: the error that replaced these additions, with flags instead of fields; "" for none.
    """

    summary: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    lines: Sequence[str] = ()
    code: int = 0
    markdown: str = ""
    error: str = ""


def run_command(
    job: J,
    run: RunFlags,
    words: Words,
    ending: Callable[[Summary], Ending] = lambda summary: Ending(),
) -> int:
    """Plans or executes the job and returns the exit code. Prints progress, warnings and summary; logs to trackers.

    ending: called when a run has finished, before trackers read its folder.
    """
    if job.shard is not None and run.tracking.wanted:
        raise CamxError(
            "`shard` processes only a part of the images, so trackers are not possible.",
            "Leave them out, and log the merged folder with `camx push`.",
            field="shard",
        )
    reporter = Reporter(
        quiet=run.quiet, verbose=run.verbose, color=not run.no_color, layer=words.layer, names=run.names
    )
    origins = {*run.origins.values(), *job.origins.values()}
    files = sorted(origin.removeprefix("config ") for origin in origins if origin.startswith("config "))
    reporter.starting(f"loading {job.model.name}{f', options of {files[0]}' if files else ''} …")
    # The import of torch takes seconds, so a message comes first.
    from cam_cli import distributed

    if run.dry_run:
        try:
            planned = distributed.plan(job)
        finally:
            reporter.close()
        return _show_plan(planned, words, run)

    def go(observer: Observer) -> int:
        return _to_end(job, distributed.run, observer, reporter, words, run, ending)

    return follow_run(run.tracking, job, reporter, go)


def _ended(summary: Summary, ending: Callable[[Summary], Ending], run: RunFlags) -> Ending:
    """Ending of a run; an empty one if the run was stopped. An error is returned, so that the summary is printed."""
    if summary.state != "finished":
        return Ending()
    try:
        return ending(summary)
    except CamxError as error:
        from cam_cli.gates.markdown import cell

        text = run.names.in_flags(str(error))
        return Ending({"error": text}, code=2, markdown=f"{cell(text)}\n", error=text)


def _show_plan(plan: Plan, words: Words, run: RunFlags) -> int:
    """Prints the plan of a dry run."""
    if run.as_json:
        out_json(dataclasses.asdict(plan))
    elif not run.quiet:
        out(
            f"{counted(plan.images, 'image')} would be {words.done} with {plan.model} ({plan.weights})\n"
            f"{words.layer} {plan.layer} ({plan.grid}): {plan.layer_reason}\n"
            + "".join(f"{line}\n" for line in (f"input {plan.input}", *plan.weights_notes))
            + f"{plan.cost}\n" * bool(plan.cost)
            + f"on {plan.device} in {plan.precision}{BACKENDS[plan.backend]}, into {plan.output}"
            + (f"\n--overwrite would remove {plan.replaced}" if plan.replaced else "")
        )
    return 0


def _to_end(
    job: J,
    execute: Callable[[J, Observer, Stop], Summary],
    observer: Observer,
    reporter: Reporter,
    words: Words,
    run: RunFlags,
    ending: Callable[[Summary], Ending],
) -> int:
    """Executes the job with signal handlers, and prints its summary."""
    from cam_cli.gates import append_step_summary
    from cam_cli.pipeline import Dropped, Stop

    from .run_summary import advice, as_json, as_markdown, as_text, failure_lines, runner_commands

    with Stop(run.time_limit) as stop, warnings.catch_warnings():
        # Pillow warns about odd image files, but their rows have the relevant messages.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            summary = execute(job, observer, stop)
        except Dropped:
            if stop.timed_out:
                reporter.failed("The time limit was reached before the first image.")
            return 128 + (stop.signal or 0)
        finally:
            reporter.close()
    end = _ended(summary, ending, run)
    text = as_markdown(summary, words)
    text = f"{text}\n{end.markdown}" if end.markdown else text
    write_markdown(text, run.summary_file)
    if stop.timed_out:
        reporter.failed("The time limit is reached. Run the same command again to continue.")
    for line in failure_lines(summary, words):
        reporter.failed(line)
    if not run.quiet:
        reporter.annotate(runner_commands(summary))
    if run.as_json:
        out_json({**as_json(summary), **end.summary})
    elif not run.quiet:
        out(as_text(summary, words, end.lines, terminal=sys.stdout.isatty()))
    else:
        for line in (line for line in end.lines if line.startswith("FAIL ")):
            reporter.failed(line)
    if run.verbose and not run.quiet and summary.progress.done_now:
        reporter.console.print(advice(summary, words))
    try:
        append_step_summary(text)
    except CamxError as error:
        reporter.warned(str(error))
    if summary.signal:
        return 128 + summary.signal
    if end.error:
        fail(end.error)
        return end.code
    stopped = summary.state != "finished"
    return int(stopped or summary.failed > run.max_failures.of(summary.plan.images)) or end.code
