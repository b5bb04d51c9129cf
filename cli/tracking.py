"""Creates trackers from options and connects them to runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cam_cli.pipeline import Observer
    from cam_cli.pipeline.job import RunOptions
    from cam_cli.tracking.follow import FollowedRun, FollowedTraining
    from cam_cli.tracking.options import TrackingOptions
    from cam_cli.tracking.tracker import Tracker
    from cam_cli.training.job import TrainJob
    from cam_cli.training.progress import Observer as TrainObserver

    from .terminal import Reporter
    from .training_terminal import TrainReporter


def trackers(options: TrackingOptions, reporter: Reporter | TrainReporter, *, wait: bool = False) -> list[Tracker]:
    """Requested trackers, each in its own thread; with `wait` without timeouts."""
    from cam_cli.tracking.background import Background, Timeouts
    from cam_cli.tracking.tensorboard_log import TensorBoardTracker, require_tensorboard
    from cam_cli.tracking.wandb_run import WandbTracker

    timeouts = Timeouts.of_push() if wait else Timeouts()

    def wandb() -> Tracker:
        return WandbTracker(options.wandb_options, reporter.inform, reporter.warned, timeouts)

    ways: list[tuple[str, Callable[[], Tracker], bool]] = []
    if options.wandb:
        ways.append(("W&B", wandb, options.wandb_options.mode == "online"))
    if options.tensorboard:
        require_tensorboard()
        ways.append(("TensorBoard", TensorBoardTracker, False))
    if wait:
        return [make() for _, make, _ in ways]
    return [Background(make, name, reporter.warned, insist=insist, timeouts=timeouts) for name, make, insist in ways]


def log_folder(path: str, options: TrackingOptions, reporter: Reporter) -> None:
    """Logs a finished folder without timeouts. Raises `CamxError` for a folder without a run, or if logging fails."""
    from cam_cli.errors import CamxError
    from cam_cli.outputs.run_folder import RunFolder
    from cam_cli.tracking.follow import TrackerGroup
    from cam_cli.tracking.publish import push

    results = RunFolder.read(path)
    try:
        push(results, TrackerGroup(trackers(options, reporter, wait=True)), options.max_images, reporter.inform)
    except CamxError:
        raise
    # Libraries of trackers raise many kinds of errors, which are handled alike.
    except Exception as error:
        raise CamxError(
            f"{path!r} could not be logged: {str(error).rstrip('.')}. The results are unchanged; try again."
        ) from error


def follow_run(options: TrackingOptions, job: RunOptions, reporter: Reporter, go: Callable[[Observer], int]) -> int:
    """Calls `go` with an observer that also logs to the requested trackers. Returns its exit code."""
    if not options.wanted:
        return go(reporter)
    from cam_cli.tracking.follow import FollowedRun, TrackerGroup

    several = TrackerGroup(trackers(options, reporter))
    return _to_end(FollowedRun(job, reporter, several, options.max_images, reporter.inform), reporter, go)


def follow_training(
    options: TrackingOptions, job: TrainJob, reporter: TrainReporter, go: Callable[[TrainObserver], int]
) -> int:
    """Calls `go` with an observer that also logs the training to the requested trackers. Returns its exit code."""
    if not options.wanted:
        return go(reporter)
    from cam_cli.tracking.follow import FollowedTraining, TrackerGroup

    several = TrackerGroup(trackers(options, reporter))
    return _to_end(FollowedTraining(job, reporter, several, options.max_images, reporter.inform), reporter, go)


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
            reporter.warned(f"Tracking was interrupted. {AGAIN}")
    return code
