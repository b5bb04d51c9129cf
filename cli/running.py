"""What every command that works through images does around its run: plan or run, tell the end, choose the exit code."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from .console import Reporter, decimals, out, out_json
from .options import allowed_failures
from .tracking import TrackingFlags, follow_run

if TYPE_CHECKING:
    from cam_cli.pipeline import Observer, Plan, Stop, Summary
    from cam_cli.pipeline.job import RunOptions

J = TypeVar("J", bound="RunOptions")

_ADVICE = {
    "decode": "decoding limits: more --workers, smaller files, or --decode draft for large photos",
    "model": "the network limits: a GPU, --precision bf16, or a smaller --model",
    "encode": "encoding limits: --format jpg, a smaller --size, or more --workers",
}


@dataclasses.dataclass(frozen=True)
class Words:
    """What a command calls things: the past participle of its work, its layer, its table."""

    done: str
    layer: str
    table: str
    advice: dict[str, str] = dataclasses.field(default_factory=dict)


def show_plan(plan: Plan, words: Words, *, as_json: bool, quiet: bool) -> int:
    """The end of `--dry-run`."""
    if as_json:
        out_json(dataclasses.asdict(plan))
    elif not quiet:
        out(
            f"{plan.images} images would be {words.done} with {plan.model} ({plan.weights})\n"
            f"{words.layer} {plan.layer} ({plan.grid}): {plan.layer_reason}\n"
            f"on {plan.device} in {plan.precision}{', compiled' * plan.compiled}, into {plan.output}"
        )
    return 0


def run_to_end(
    job: J,
    run: Callable[[J, Observer, Stop], Summary],
    reporter: Reporter,
    words: Words,
    *,
    tracking: TrackingFlags,
    as_json: bool,
    max_failures: str,
) -> int:
    """Run with signals caught, tell the end, and return the exit code; trackers are told as well."""

    def go(observer: Observer) -> int:
        return _to_end(job, run, observer, reporter, words, as_json=as_json, max_failures=max_failures)

    return follow_run(tracking, job, reporter, go)


def _to_end(
    job: J,
    run: Callable[[J, Observer, Stop], Summary],
    observer: Observer,
    reporter: Reporter,
    words: Words,
    *,
    as_json: bool,
    max_failures: str,
) -> int:
    from cam_cli.pipeline import Dropped, Stop

    with Stop() as stop, warnings.catch_warnings():
        # Odd image files make Pillow talk; their rows say what matters.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            summary = run(job, observer, stop)
        except Dropped:
            return 128 + (stop.signal or 0)
        finally:
            reporter.close()
    if as_json:
        out_json(summary.as_dict())
    elif not reporter.quiet:
        out(_summary_text(summary, words))
    if reporter.verbose and not reporter.quiet:
        reporter.console.print(_advice(summary, words))
    if summary.signal:
        return 128 + summary.signal
    stopped = summary.state != "finished"
    return int(stopped or summary.failed > allowed_failures(max_failures, summary.plan.images))


def _summary_text(summary: Summary, words: Words) -> str:
    progress, planned = summary.progress, summary.plan
    counts = progress.counts
    already = f", {progress.skipped} of them earlier" if progress.skipped else ""
    what = f"{counts['ok']} of {planned.images} images {words.done}{already}"
    lines = [f"{what}, {counts['failed']} failed, {counts['blank']} blank"]
    if progress.labelled:
        accuracy = progress.correct / progress.labelled
        lines.append(f"top-1 accuracy {accuracy:.1%} on {progress.labelled} labelled images")
    if progress.done_now:
        rate = progress.done_now / summary.seconds
        lines.append(f"{summary.seconds:.1f} s, {decimals(rate)} images per second, limited by {progress.limited_by}")
    if summary.state != "finished":
        lines.append(f"{summary.state}: the same command continues")
    lines.append(f"{planned.output}/{words.table}")
    if os.path.exists(page := os.path.join(planned.output, "report", "index.html")):
        lines.append(page)
    return "\n".join(lines)


def _advice(summary: Summary, words: Words) -> str:
    stages = summary.as_dict()["stages"]
    rates = ", ".join(f"{name} {stage['images_per_second']} img/s" for name, stage in stages.items())
    advice = {**_ADVICE, **words.advice}[summary.progress.limited_by]
    return f"{advice} (one worker alone: {rates})"
