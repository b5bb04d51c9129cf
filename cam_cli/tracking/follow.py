"""Observers that log a run to a tracker while it goes. They forward every call to the user's observer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..options import recorded
from ..outputs.record import RunRecord
from ..outputs.run_folder import TRAIN_GAP, RunFolder
from ..outputs.versions import versions
from ..pipeline.job import RunOptions
from ..pipeline.progress import Observer, Plan, Progress
from ..training.job import TrainJob
from ..training.metrics import EpochMetrics
from ..training.progress import Observer as TrainObserver
from ..training.progress import TrainPlan, TrainProgress
from .publish import log_results
from .results import run_info
from .tracker import RunInfo, Scalar, Step, Tracker, Value
from .training_log import epoch_pictures, epoch_values

_AXIS = "throughput/images"
#: Seconds between two logged values of the throughput.
_INTERVAL = 5.0


class TrackerGroup:
    """Several trackers as one."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = trackers

    def begin(self, info: RunInfo) -> None:
        for tracker in self._trackers:
            tracker.begin(info)

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        for tracker in self._trackers:
            tracker.log(values, at)

    def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
        for tracker in self._trackers:
            tracker.finish(summary, exit_code)


class _Followed:
    """Logs the run of any command. `cap` limits the rows of tables; `say` receives sentences that describe them."""

    def __init__(self, output: str, tracker: Tracker, cap: int, say: Callable[[str], None]) -> None:
        self._output, self._tracker, self._cap, self._say = output, tracker, cap, say
        self._begun = False

    def ended(self, exit_code: int, warn: Callable[[str], None]) -> None:
        """Ends the log. Logs the tables if the results are complete (exit codes 0 and 1).

        Errors become warnings through `warn`.
        """
        summary: dict[str, Scalar] = {}
        if self._begun and exit_code in (0, 1):
            try:
                summary = log_results(RunFolder.read(self._output), self._tracker, self._cap, self._say)
            # The results are complete, even if they cannot be logged.
            except Exception as error:
                warn(f"The results cannot be logged: {str(error).rstrip('.')}. `camx push {self._output}` tries again.")
        self._tracker.finish(summary, exit_code)

    def _begin(self, record: dict[str, Any]) -> None:
        self._begun = True
        self._tracker.begin(run_info(self._output, {**record, "versions": versions()}))


class FollowedRun(_Followed):
    """Observer of a run over images."""

    def __init__(
        self, job: RunOptions, observer: Observer, tracker: Tracker, cap: int, say: Callable[[str], None]
    ) -> None:
        super().__init__(job.output, tracker, cap, say)
        self._job, self._observer = job, observer
        self._noted, self._done = time.monotonic(), 0

    def planned(self, plan: Plan) -> None:
        self._observer.planned(plan)
        self._noted = time.monotonic()
        # The folder is locked and holds the fingerprint now.
        record = RunFolder.read(self._output).record
        job = recorded(self._job)["job"]
        self._begin({"fingerprint": record["fingerprint"], "plan": plan.as_dict(), "job": job})

    def advanced(self, progress: Progress) -> None:
        self._observer.advanced(progress)
        over = progress.done == progress.total
        if progress.done > self._done and (over or time.monotonic() - self._noted >= _INTERVAL):
            self._noted, self._done = time.monotonic(), progress.done
            values: dict[str, Value] = {
                "throughput/images_per_second": progress.rate,
                "throughput/seconds": progress.seconds,
                "throughput/failed": progress.counts["failed"],
                "throughput/limited_by": progress.limited_by,
            }
            self._tracker.log(values, Step(_AXIS, progress.done))

    def warned(self, message: str) -> None:
        self._observer.warned(message)


class FollowedTraining(_Followed):
    """Observer of a training."""

    def __init__(
        self, job: TrainJob, observer: TrainObserver, tracker: Tracker, cap: int, say: Callable[[str], None]
    ) -> None:
        super().__init__(job.output, tracker, cap, say)
        self._job, self._observer = job, observer
        #: The epoch whose images are logged next: they are drawn after its numbers.
        self._pictures = 1

    def planned(self, plan: TrainPlan) -> None:
        self._observer.planned(plan)
        self._pictures = plan.first_epoch
        self._begin({"plan": dataclasses.asdict(plan), "job": recorded(self._job)["job"]})

    def advanced(self, progress: TrainProgress) -> None:
        self._observer.advanced(progress)

    def finished_epoch(self, metrics: EpochMetrics) -> None:
        self._observer.finished_epoch(metrics)
        self._log_pictures(before=metrics.epoch)
        values, at = epoch_values(metrics)
        self._tracker.log(values, at)

    def ended(self, exit_code: int, warn: Callable[[str], None]) -> None:
        self._log_pictures(before=self._job.epochs + 1)
        super().ended(exit_code, warn)

    def warned(self, message: str) -> None:
        self._observer.warned(message)

    def _log_pictures(self, *, before: int) -> None:
        run = RunFolder(self._output, TRAIN_GAP, RunRecord())
        for epoch in range(self._pictures, before):
            tables = epoch_pictures(run, epoch)
            if tables:
                self._tracker.log(tables, Step("epoch", epoch))
        self._pictures = max(self._pictures, before)
