"""`camx push`: a finished folder to W&B or TensorBoard, from any machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cam_cli.errors import CamxError
from cam_cli.options import FILLED, Flag
from cam_cli.tracking.options import TrackingOptions

from .bind import Command
from .names import Names
from .run_command import NoColor, Quiet
from .terminal import Reporter
from .tracking import trackers


@dataclass(frozen=True)
class PushJob:
    """The run folder, and the trackers it goes to."""

    output: Annotated[str, Flag("The folder of results of a run.", argument=True, metavar="OUT")]
    tracking: TrackingOptions = TrackingOptions()
    quiet: Quiet = False
    no_color: NoColor = False
    names: Annotated[Names, FILLED] = Names()


def push(job: PushJob) -> int:
    """Log the results of `explain`, `activations`, `evaluate` or `train-gap` to W&B or TensorBoard; needs no model."""
    if not job.tracking.wanted:
        raise CamxError("`camx push` needs to know where to.", "Give --wandb or --tensorboard.")
    from cam_cli.outputs.run_folder import RunFolder
    from cam_cli.tracking.follow import TrackerGroup
    from cam_cli.tracking.publish import push as pushed

    results = RunFolder.read(job.output)
    reporter = Reporter(quiet=job.quiet, verbose=False, color=not job.no_color, names=job.names)
    try:
        pushed(
            results, TrackerGroup(trackers(job.tracking, reporter, wait=True)), job.tracking.max_images, reporter.said
        )
    except CamxError:
        raise
    # A tracker's library has errors of many kinds; all of them mean the same here.
    except Exception as error:
        raise CamxError(f"{job.output!r} could not be logged: {error}. Nothing of it is lost; try again.") from error
    return 0


COMMAND = Command(
    push,
    examples={
        "camx push camx-out --wandb --wandb-project animals": "from any machine, without a model",
    },
    page="wandb.md",
)
