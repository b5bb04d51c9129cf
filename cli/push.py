"""`camx push`: a finished folder to W&B or TensorBoard, from any machine."""

from __future__ import annotations

from typing import Annotated

import typer

from cam_cli.errors import CamxError

from . import flags
from .console import Reporter
from .tracking import TrackingFlags, trackers


def push(
    output: Annotated[str, typer.Argument(metavar="OUT", help="The folder of results of a run.")],
    wandb: flags.Wandb = False,
    wandb_project: flags.WandbProject = None,
    wandb_entity: flags.WandbEntity = None,
    wandb_name: flags.WandbName = None,
    wandb_group: flags.WandbGroup = None,
    wandb_tags: flags.WandbTags = None,
    wandb_mode: flags.WandbMode = "auto",
    wandb_max_images: flags.WandbMaxImages = 500,
    tensorboard: flags.TensorBoard = False,
    quiet: flags.Quiet = False,
    no_color: flags.NoColor = False,
) -> int:
    """Log a finished folder of `explain`, `activations` or `train-gap` to W&B or TensorBoard; needs no model."""
    tracking = TrackingFlags(
        wandb,
        wandb_project,
        wandb_entity,
        wandb_name,
        wandb_group,
        wandb_tags,
        wandb_mode,
        wandb_max_images,
        tensorboard,
    )
    if not tracking.wanted:
        raise CamxError("`camx push` needs to know where to. Give --wandb or --tensorboard.")
    from cam_cli.tracking.follow import TrackerGroup
    from cam_cli.tracking.publish import push as pushed
    from cam_cli.tracking.results import ResultsFolder

    results = ResultsFolder.read(output)
    reporter = Reporter(quiet=quiet, verbose=False, color=not no_color)
    try:
        pushed(results, TrackerGroup(trackers(tracking, reporter, wait=True)), wandb_max_images, reporter.said)
    except CamxError:
        raise
    # A tracker's library has errors of many kinds; all of them mean the same here.
    except Exception as error:
        raise CamxError(f"{output!r} could not be logged: {error}. Nothing of it is lost; try again.") from error
    return 0
