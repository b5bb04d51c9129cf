"""`camx push`: logs a finished folder to W&B or TensorBoard, from any machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cam_cli.errors import CamxError
from cam_cli.options import FILLED, Flag
from cam_cli.tracking.options import TrackingOptions

from .bind import Command
from .names import Names
from .remote_folders import fetched
from .run_command import NoColor, Quiet
from .terminal import Reporter, announces_start
from .tracking import log_folder


@dataclass(frozen=True)
class PushJob:
    """Options of `camx push`."""

    output: Annotated[str, Flag("Output folder of a run.", argument=True, metavar="OUT")]
    tracking: TrackingOptions = TrackingOptions()
    quiet: Quiet = False
    no_color: NoColor = False
    names: Annotated[Names, FILLED] = Names()


@fetched("output")
def push(job: PushJob) -> int:
    """Log the results of a run over images, or of a training, to W&B or TensorBoard; needs no model."""
    if not job.tracking.wanted:
        raise CamxError("`camx push` needs a tracker.", "Give --wandb or --tensorboard.")
    reporter = Reporter(quiet=job.quiet, verbose=False, color=not job.no_color, names=job.names)
    if announces_start(reporter.console):
        reporter.inform(f"reading {job.output} …")
    log_folder(job.output, job.tracking, reporter)
    return 0


COMMAND = Command(
    push,
    examples={
        "camx push camx-out --wandb --wandb-project animals": "from any machine, without a model",
    },
    page="wandb.md",
)
