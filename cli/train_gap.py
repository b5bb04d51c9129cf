"""`camx train-gap`: runs a `TrainJob` and returns the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cam_cli.options import BEHAVIOUR, FILLED, OUTPUT, Flag
from cam_cli.sentences import counted
from cam_cli.tracking.options import TrackingOptions
from cam_cli.training.job import TrainJob

from .bind import Command
from .config import CONFIG, ISOLATED
from .names import Names
from .run_command import AsJson, NoColor, Quiet
from .terminal import announces_start, out, out_json
from .tracking import follow_training
from .training_terminal import TrainReporter

if TYPE_CHECKING:
    from cam_cli.training.progress import Observer, TrainSummary


@dataclass(frozen=True)
class TrainFlags:
    """Flags in addition to the job: report, output and trackers."""

    report: Annotated[
        bool,
        Flag("Write report/index.html: curves, confusion, images over the epochs.", panel=OUTPUT, page="report.md"),
    ] = True

    tracking: TrackingOptions = TrackingOptions()
    config: Annotated[str | None, CONFIG] = None
    isolated: Annotated[bool, ISOLATED] = False
    as_json: AsJson = False
    quiet: Quiet = False
    verbose: Annotated[bool, Flag("Print every epoch and the confusion of classes.", short="-v", panel=BEHAVIOUR)] = (
        False
    )
    no_color: NoColor = False
    names: Annotated[Names, FILLED] = Names()


def train_gap(job: TrainJob, run: TrainFlags) -> int:
    """Add a global average pooling head to a backbone, for which CAM is exact, and train it on class folders."""
    reporter = TrainReporter(quiet=run.quiet, verbose=run.verbose, color=not run.no_color, names=run.names)
    if announces_start(reporter.console):
        reporter.inform(f"loading {job.model.name} …")

    def go(observer: Observer) -> int:
        return _run(job, observer, reporter, run)

    return follow_training(run.tracking, job, reporter, go)


def _run(job: TrainJob, observer: Observer, reporter: TrainReporter, run: TrainFlags) -> int:
    from cam_cli.pipeline import Stop
    from cam_cli.training.run import train

    with Stop() as stop:
        try:
            summary = train(job, observer, stop)
        finally:
            reporter.close()
    page = _report(job.output, reporter) if run.report and summary.history else ""
    if run.as_json:
        out_json(summary.as_dict() | ({"report": page} if page else {}))
    elif not reporter.quiet:
        out(_summary_text(summary, verbose=reporter.verbose))
        if page:
            out(f"report: {page}")
    return 128 + summary.signal if summary.signal else 0


def _report(output: str, reporter: TrainReporter) -> str:
    """Writes the report and returns its file. Errors are only warnings, because the network is saved."""
    from cam_cli.report import build_report

    try:
        return build_report(output, warned=reporter.warned)
    except Exception as error:
        reporter.warned(f"The report could not be written: {error} Try again: camx report {output}")
        return ""


def _summary_text(summary: TrainSummary, *, verbose: bool) -> str:
    plan, best, row = summary.plan, summary.best, summary.best_epoch
    if best is None or row is None:
        return "interrupted before the end of the first epoch, so nothing was written"
    epoch = f"epoch {row.epoch} of {len(summary.history)}"
    lines = [f"validation accuracy {best.accuracy:.1%} on {counted(int(best.confusion.sum()), 'image')} ({epoch})"]
    if summary.original_accuracy is not None and summary.price is not None:
        lines.append(
            f"the network's own head: {summary.original_accuracy:.1%}; "
            f"the price of CAM is {summary.price * 100:+.1f} points"
        )
    classes = list(zip(plan.classes, best.per_class, best.confusion))
    for name, share, counts in classes if verbose or len(classes) <= 12 else sorted(classes, key=lambda c: c[1])[:12]:
        wrong = ", ".join(f"{plan.classes[j]} {n}" for j, n in enumerate(counts) if n and plan.classes[j] != name)
        lines.append(
            f"  {name}: {share:.1%} of {int(counts.sum())}" + (f" (others predicted as {wrong})" if wrong else "")
        )
    if len(classes) > 12 and not verbose:
        lines.append(f"  … and {len(classes) - 12} better ones (-v shows all)")
    if summary.unreadable:
        lines.append(f"unreadable images left out: {len(summary.unreadable)} (listed in {plan.output}/run.json)")
    lines.append(", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.seconds.items()))
    if summary.signal:
        lines.append("interrupted: the same command with --resume continues")
    lines.append(f"{plan.output}/model.safetensors: camx explain IMAGES --model {plan.output} --method cam")
    return "\n".join(lines)


COMMAND = Command(
    train_gap,
    examples={
        "camx train-gap DATA --model resnet18": "a head on frozen features: minutes on a CPU",
        "camx train-gap DATA --freeze none --epochs 20 --device cuda": "the whole network",
        "camx explain ./images --model camx-gap --method cam": "explain with the trained network",
    },
    page="train-gap.md",
)
