"""The tracking flags as trackers that follow a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .options import words

if TYPE_CHECKING:
    from cam_cli.pipeline import Observer
    from cam_cli.pipeline.job import RunOptions
    from cam_cli.tracking.follow import FollowedRun, FollowedTraining
    from cam_cli.tracking.tracker import Tracker
    from cam_cli.training.job import TrainJob
    from cam_cli.training.progress import Observer as TrainObserver

    from .console import Reporter
    from .training_console import TrainReporter


@dataclass(frozen=True)
class TrackingFlags:
    """What the tracking panel says; raises `CamxError` for values that do not exist."""

    wandb: bool
    project: str | None
    entity: str | None
    name: str | None
    group: str | None
    tags: str | None
    mode: str
    max_images: int
    tensorboard: bool

    @property
    def wanted(self) -> bool:
        return self.wandb or self.tensorboard


def trackers(flags: TrackingFlags, reporter: Reporter | TrainReporter, *, wait: bool = False) -> list[Tracker]:
    """The trackers asked for, each in a thread that starts at once; with `wait` in this one, however long it takes."""
    from cam_cli.tracking.background import Background, Patience
    from cam_cli.tracking.tensorboard_log import TensorBoardTracker, require_tensorboard
    from cam_cli.tracking.wandb_run import WandbOptions, WandbTracker

    tags = words("--wandb-tags", flags.tags) if flags.tags is not None else ()
    options = WandbOptions(flags.project, flags.entity, flags.name, flags.group, tags, flags.mode)
    patience = Patience.without_end() if wait else Patience()

    def wandb() -> Tracker:
        return WandbTracker(options, reporter.said, reporter.warned, patience)

    ways: list[tuple[str, Callable[[], Tracker], bool]] = []
    if flags.wandb:
        ways.append(("W&B", wandb, flags.mode == "online"))
    if flags.tensorboard:
        require_tensorboard()
        ways.append(("TensorBoard", TensorBoardTracker, False))
    if wait:
        return [make() for _, make, _ in ways]
    return [Background(make, name, reporter.warned, insist=insist, patience=patience) for name, make, insist in ways]


def follow_run(flags: TrackingFlags, job: RunOptions, reporter: Reporter, go: Callable[[Observer], int]) -> int:
    """`go` with an observer that also tells the trackers asked for; its exit code."""
    if not flags.wanted:
        return go(reporter)
    from cam_cli.tracking.follow import FollowedRun, TrackerGroup

    several = TrackerGroup(trackers(flags, reporter))
    return _to_end(FollowedRun(job, reporter, several, flags.max_images, reporter.said), reporter, go)


def follow_training(
    flags: TrackingFlags, job: TrainJob, reporter: TrainReporter, go: Callable[[TrainObserver], int]
) -> int:
    """The same for a training."""
    if not flags.wanted:
        return go(reporter)
    from cam_cli.tracking.follow import FollowedTraining, TrackerGroup

    several = TrackerGroup(trackers(flags, reporter))
    return _to_end(FollowedTraining(job, reporter, several, flags.max_images, reporter.said), reporter, go)


def _to_end(
    followed: FollowedRun | FollowedTraining, reporter: Reporter | TrainReporter, go: Callable[[Any], int]
) -> int:
    from cam_cli.tracking.background import AGAIN

    code = 2
    try:
        code = go(followed)
    finally:
        try:
            followed.ended(code, reporter.warned)
        except KeyboardInterrupt:
            reporter.warned(f"Tracking is left behind. {AGAIN}")
    return code
