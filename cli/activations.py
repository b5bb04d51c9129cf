"""`camx activations`: runs an `ActivationsJob` and returns the exit code."""

from __future__ import annotations

from cam_cli.pipeline.job import ActivationsJob

from .bind import Command
from .run_command import RunFlags, run_command
from .run_summary import Words

WORDS = Words(
    done="read",
    layer="layer",
    table="activations.csv",
    advice={"encode": "encoding limits: fewer --max-channels, or more --workers"},
    backends=False,
)


def activations(job: ActivationsJob, run: RunFlags) -> int:
    """Draw the feature maps of a layer: one sheet per image, and numbers per channel in a table."""
    return run_command(job, run, WORDS)


COMMAND = Command(
    activations,
    examples={
        "camx activations ./images --model resnet50": "the first convolution",
        "camx activations ./images --model resnet50 --layer layer2 --max-channels 16": "sixteen maps of another layer",
    },
    page="activations.md",
)
