"""`camx explain`: runs an `ExplainJob` and returns the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from cam_cli.pipeline.job import ExplainJob

from .afterwards import Afterwards, expect_whole, judged_ending
from .bind import Command
from .run_command import Ending, RunFlags, run_command
from .run_summary import Words

if TYPE_CHECKING:
    from cam_cli.gates import GateResult
    from cam_cli.pipeline import Summary

WORDS = Words(done="explained", layer="target layer", table="predictions.csv")


def explain(job: ExplainJob, run: RunFlags, afterwards: Afterwards) -> int:
    """Explain images with class activation maps: an overlay per image, a table of top-k classes, and a report."""
    if afterwards.fail_if:
        from cam_cli.audit.plan import check_conditions

        check_conditions(afterwards.fail_if)
        expect_whole(job, "Give the gates to `camx audit` when the run is complete.")
    return run_command(job, run, WORDS, partial(_ending, job, afterwards))


def _ending(job: ExplainJob, afterwards: Afterwards, summary: Summary) -> Ending:
    """Judges the gates as `camx audit` does."""

    def judge() -> Sequence[GateResult]:
        from cam_cli.audit.audit import audit
        from cam_cli.audit.options import AuditOptions

        return audit(job.output, AuditOptions(fail_if=afterwards.fail_if, confidence=afterwards.confidence)).gates

    return judged_ending("explain", job.output, afterwards, summary, judge)


COMMAND = Command(
    explain,
    examples={
        "camx explain ./images --model resnet50": "pretrained, by name",
        "camx explain ./images --model resnet50 --checkpoint best.pth": "your weights, any number of classes",
        "camx explain ./val --model resnet50 --labels folder --target label": "maps of the true class",
        "camx explain photo.jpg --model vit_base_patch16_224 --target top:3": "three maps from one forward",
        "camx explain ./images --model resnet50 --config configs/ci.toml": "JSON; exit code 1 if an image fails",
        "camx explain ./val --model resnet50 --labels folder --fail-if 'accuracy < 0.9'": "exit code 1 if proven",
    },
    page="report.md",
)
