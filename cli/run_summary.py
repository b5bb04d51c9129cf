"""Formats the summary of a run for a terminal, as JSON, and for GitHub jobs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cam_cli.errors import CamxError
from cam_cli.machine import bf16_units
from cam_cli.redaction import redacted
from cam_cli.sentences import counted

from .terminal import decimals

if TYPE_CHECKING:
    from cam_cli.pipeline import Summary

#: Number of listed failed images; GitHub shows as many annotations per step.
_LISTED = 10
#: Shortest run in seconds that ends with advice about a faster precision; in a shorter one the gain does not matter.
_LONG = 60.0

_ADVICE = {
    "decode": "decoding limits: more --workers, smaller files, or --decode draft for large photos",
    "model": "the network limits: a GPU, --precision bf16, or a smaller --model",
    "encode": "encoding limits: --format jpg, a smaller --size, or more --workers",
}


@dataclass(frozen=True)
class Words:
    """Words for the messages of a command: past participle of its work, layer, table; whether it has `--backend`."""

    done: str
    layer: str
    table: str
    advice: dict[str, str] = dataclasses.field(default_factory=dict)
    backends: bool = True


def as_text(summary: Summary, words: Words, more: Sequence[str] = (), *, terminal: bool) -> str:
    """Summary as lines: counts, accuracy, speed, `more` lines of the command, and the main files.

    terminal: adds words before the paths. For scripts the last lines are bare paths.
    """
    planned, progress = summary.plan, summary.progress
    lines = [_counts(summary, words), *_accuracy(summary)]
    if progress.done_now:
        rate = progress.done_now / summary.seconds
        lines.append(f"{summary.seconds:.1f} s, {decimals(rate)} images per second, bottleneck: {progress.limited_by}")
        lines += _gain(summary, words)
    if summary.state != "finished":
        lines.append(f"{summary.state}: the same command continues")
    lines += more
    lines.append("table:  " * terminal + f"{planned.output}/{words.table}")
    if os.path.exists(page := os.path.join(planned.output, "report", "index.html")):
        lines.append("report: " * terminal + page)
    return "\n".join(lines)


def as_json(summary: Summary) -> dict[str, Any]:
    """The summary with all failed images and reasons."""
    return {**summary.as_dict(), "failures": [failure._asdict() for failure in summary.progress.failures]}


def as_markdown(summary: Summary, words: Words) -> str:
    """Counts, accuracy and first failed images for the summary of a GitHub job."""
    from cam_cli.gates.markdown import cell, table

    failures = summary.progress.failures
    points = [_counts(summary, words), *_accuracy(summary), f"{summary.plan.model}, layer {summary.plan.layer}"]
    if summary.state != "finished":
        points.append(f"{summary.state}: the same command continues")
    listed = table(("failed image", "reason"), [(cell(one.image), cell(one.reason)) for one in failures[:_LISTED]])
    more = f"\n{_more(summary, words)}\n" if summary.failed > _LISTED else ""
    return (
        f"## camx: {counted(summary.plan.images, 'image')}\n\n"
        + "".join(f"* {cell(point)}\n" for point in points)
        + (f"\n{listed}{more}" if failures else "")
    )


def failure_lines(summary: Summary, words: Words) -> Iterator[str]:
    """The first failed images with their reasons."""
    for failure in summary.progress.failures[:_LISTED]:
        yield f"failed: {failure.image}: {failure.reason}"
    if summary.failed > _LISTED:
        yield _more(summary, words)


def runner_commands(summary: Summary) -> list[str]:
    """Workflow commands that annotate the first failed images in a GitHub job; none elsewhere."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return []
    base = _inputs(summary.plan.output)
    return [_annotation(_in_workspace(one.image, base), one.reason) for one in summary.progress.failures[:_LISTED]]


def advice(summary: Summary, words: Words) -> str:
    """Advice for a faster run, and images per second of each stage."""
    stages = summary.as_dict()["stages"]
    rates = ", ".join(f"{name} {stage['images_per_second']} img/s" for name, stage in stages.items())
    sentence = {**_ADVICE, **words.advice}[summary.progress.limited_by]
    return f"{sentence} (one worker alone: {rates})"


def _counts(summary: Summary, words: Words) -> str:
    progress, planned = summary.progress, summary.plan
    counts = progress.counts
    already = f", {progress.skipped} of them earlier" if progress.skipped else ""
    what = f"{counts['ok']} of {counted(planned.images, 'image')} {words.done}{already}"
    return f"{what}, {counts['failed']} failed, {counts['blank']} blank"


def _accuracy(summary: Summary) -> list[str]:
    progress = summary.progress
    if not progress.labelled:
        return []
    accuracy = progress.correct / progress.labelled
    return [f"top-1 accuracy {accuracy:.1%} on {counted(progress.labelled, 'labelled image')}"]


def _gain(summary: Summary, words: Words) -> list[str]:
    """Line about bf16 if the network limited a long run in float32 on a processor with bf16 instructions."""
    plan, units = summary.plan, bf16_units()
    slow = summary.seconds >= _LONG and summary.progress.limited_by == "model"
    if not slow or not units or (plan.device, plan.precision) != ("cpu", "fp32"):
        return []
    flags = "--precision bf16" + " --backend openvino" * words.backends
    return [f"faster on this processor ({units}): {flags}; changes maps and probabilities a little"]


def _more(summary: Summary, words: Words) -> str:
    return f"{summary.failed - _LISTED:,} more failed: {summary.plan.output}/{words.table}"


def _inputs(output: str) -> str:
    """Folder to which image names are relative, from the record of the run; "" if there is no local one."""
    from cam_cli.outputs.run_folder import RunFolder

    try:
        return RunFolder.read(output).inputs
    except CamxError:
        return ""


def _in_workspace(image: str, base: str) -> str:
    """Path of an image relative to the root of the repository, for GitHub; its name if it lies elsewhere."""
    path = os.path.join(base, image)
    if not base or not os.path.lexists(path):
        return image
    inside = os.path.relpath(path, os.environ.get("GITHUB_WORKSPACE") or os.getcwd())
    return image if inside.startswith(os.pardir) else inside.replace(os.sep, "/")


def _annotation(image: str, reason: str) -> str:
    """Workflow command of GitHub. Escapes percent signs and line ends; in properties also colons and commas."""

    def escaped(text: str) -> str:
        return redacted(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    place = escaped(image).replace(":", "%3A").replace(",", "%2C")
    return f"::error file={place},title=camx::{escaped(reason)}"
