"""`camx explain`: one `ExplainJob`, a run, and its exit code."""

from __future__ import annotations

from cam_cli.pipeline.job import ExplainJob

from .bind import Command
from .run_command import RunFlags, run_command
from .run_summary import Words

WORDS = Words(done="explained", layer="target layer", table="predictions.csv")


def explain(job: ExplainJob, run: RunFlags) -> int:
    """Explain images with class activation maps: an overlay per image, a table of top-k classes, and a report."""
    return run_command(job, run, WORDS)


COMMAND = Command(
    explain,
    examples={
        "camx explain ./images --model resnet50": "pretrained, by name",
        "camx explain ./images --model resnet50 --checkpoint best.pth": "your weights, any number of classes",
        "camx explain ./val --model resnet50 --labels folder --target label": "does it look at the dog?",
        "camx explain photo.jpg --model vit_base_patch16_224 --target top:3": "three maps from one forward",
        "camx explain ./images --model resnet50 --config configs/ci.toml": "JSON; exit code 1 if one fails",
    },
    page="report.md",
)
