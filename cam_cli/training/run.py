"""Runs a training from a folder of images to the files in OUT: find, load, cut, prepare, train, record."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..cams.target_layer.probe import probe_picture
from ..cams.tracing.scored_network import scored_network
from ..errors import CamxError
from ..models.catalog import Network
from ..models.gap import GapDescription, GapNetwork
from ..options import recorded
from ..outputs.folder import OutputFolder, locked_folder
from ..outputs.result_files import written_file
from ..outputs.rows import WrittenFile
from ..outputs.versions import versions
from ..run_layout import METRICS
from .build import build_gap_network, classes_in, describe_head, load_backbone, original_accuracy
from .cache import Tick
from .curves import draw_curves
from .data import Dataset, find_dataset
from .job import TrainJob, fingerprint
from .loop import Trainer, TrainingConfig
from .metrics import EpochMetrics, Scores, metrics_csv
from .mistakes import misclassified
from .pictures import Pictures
from .prepare import Prepared, prepared
from .previews import Previews
from .progress import Interrupted, NeverStopped, Observer, Silent, Stopping, TrainPlan, TrainProgress, TrainSummary
from .proofs import check_best, restore_files
from .settings import Settings, settings_of
from .state import (
    BEST,
    CURVES,
    LAST,
    STATE,
    TrainingState,
    check_same,
    earlier_state,
    network_bytes,
    remove_earlier,
)

#: Seconds between two drawings of the curves: heads on cached features train several epochs per second.
_BETWEEN_DRAWINGS = 3.0


def train(job: TrainJob, observer: Observer = Silent(), stop: Stopping | None = None) -> TrainSummary:
    """Trains, and writes the network, its metrics and the state for `resume` into the output folder.

    Raises `CamxError` if it cannot start or continue. After a signal it returns a summary early; the folder then holds
    the best network and that of the last whole epoch, and `resume` continues to the result of an uninterrupted run.
    """
    data = find_dataset(job.data, job.val_fraction, job.seed)
    settings = settings_of(job, len(data.train))
    with locked_folder(job.output) as folder:
        earlier = earlier_state(folder, resume=job.resume, overwrite=job.overwrite)
        if job.resume and earlier is None:
            observer.warned(f"{job.output!r} holds no training to resume. This one starts from the beginning.")
        network = load_backbone(job)
        for warning in (*data.notes, *network.warnings):
            observer.warned(warning)
        depends_on = fingerprint(job, network, data, settings.precision)
        if earlier is not None:
            check_same(earlier.fingerprint, depends_on, job.output)
            check_best(folder, earlier)
        network.module.to(settings.device)
        description = describe_head(network, job, data.classes)
        if job.overwrite:
            remove_earlier(folder)
        training = _Training(job, observer, stop or NeverStopped(), folder, settings, description, depends_on)
        try:
            return training.run(network, data, earlier)
        except torch.OutOfMemoryError as error:
            raise CamxError(
                f"Not enough memory on {settings.device} for batches of {settings.batch_size}. "
                "Give a smaller `batch_size` or `image_size`."
            ) from error


class _Training:
    """A training while it runs."""

    def __init__(
        self, job: TrainJob, observer: Observer, stop: Stopping, folder: OutputFolder,
        settings: Settings, description: GapDescription, depends_on: dict[str, Any],
    ) -> None:  # fmt: skip
        self._job, self._observer, self._stop, self._folder = job, observer, stop, folder
        self._settings, self._description, self._depends_on = settings, description, depends_on
        self._history: list[EpochMetrics] = []
        self._best: Scores | None = None
        self._best_file: WrittenFile | None = None
        self._seconds: dict[str, float] = {}
        self._drawn = time.perf_counter()

    def run(self, network: Network, data: Dataset, earlier: TrainingState | None) -> TrainSummary:
        if earlier is not None:
            self._history, self._best = list(earlier.history), earlier.best
            self._best_file = earlier.best_file
        plan = self._planned(network, data)
        self._observer.planned(plan)
        original: float | None = None
        ready: Prepared | None = None
        try:
            settings = self._settings
            with Pictures(network.preprocessing, settings.workers, settings.device, self._job.train_size) as pictures:
                original = self._original(network, pictures, data)
                gap = build_gap_network(network, self._description, self._job.seed)
                with prepared(
                    self._job, network, gap, data, pictures, settings, self._folder.path, self._stage
                ) as ready:
                    self._warn(ready)
                    self._learn(ready, gap, earlier)
        except Interrupted:
            pass
        summary = TrainSummary(
            plan=plan if ready is None else self._planned(network, ready.data, ready.backend),
            history=self._history,
            best=self._best,
            original_accuracy=original,
            unreadable=ready.data.unreadable if ready else (),
            seconds=self._seconds,
            cached=ready.cached if ready else 0,
            cache_bytes=ready.cache_bytes if ready else 0,
            signal=self._stop.signal,
            misclassified=misclassified(self._best, ready.data) if ready else (),
        )
        if self._history:
            self._folder.record(self._record(summary))
        return summary

    def _original(self, network: Network, pictures: Pictures, data: Dataset) -> float | None:
        """Accuracy of the network's own head, if it has these classes."""
        columns = classes_in(network, data.classes)
        if columns is None:
            return None
        with self._stage("original head", len(data.val)) as tick:
            inputs = network.preprocessing
            picture = probe_picture(inputs.channels, inputs.input_size).to(self._settings.device)
            module = scored_network(network.module, picture, network.scores)
            return original_accuracy(module, pictures, data.val, columns, tick)

    def _learn(self, ready: Prepared, gap: GapNetwork, earlier: TrainingState | None) -> None:
        """Trains the remaining epochs. `last.safetensors` holds the last whole epoch, also after a signal."""
        job, batches = self._job, ready.batches
        settings, preprocessing = self._settings, self._description.preprocessing
        trainer = Trainer(ready.module, self._config(ready.data), settings.device, batches.train_batches)
        first = len(self._history)
        drawn = earlier.previews if earlier else {}
        previews = Previews(job, preprocessing, ready.data, self._folder, settings.precision, first + 1, drawn)
        if earlier is not None:
            trainer.load_state_dict(earlier.trainer)
            network = ready.network(trainer.result, gap)
            found = restore_files(self._folder, earlier, lambda: self._network_bytes(network))
            for sentence in (*found, *previews.restore(network, first)):
                self._observer.warned(sentence)
        try:
            with self._stage("training", (job.epochs - first) * batches.train_count) as tick:
                for epoch in range(first, job.epochs):
                    self._epoch(epoch, trainer, ready, gap, tick, previews)
        except Interrupted:
            if self._history:
                trainer.load_state_dict(TrainingState.read(self._folder.file(STATE)).trainer)
                self._keep_last(ready.network(trainer.result, gap))
            raise
        self._keep_last(ready.network(trainer.result, gap))

    def _draw(self) -> None:
        title = f"{self._description.architecture} + GAP"
        self._folder.write(CURVES, draw_curves(self._history, self._job.epochs, title))
        self._drawn = time.perf_counter()

    def _keep_last(self, network: GapNetwork) -> None:
        self._draw()
        self._folder.write(LAST, self._network_bytes(network))

    def _network_bytes(self, network: GapNetwork) -> bytes:
        """Bytes of the network after the last whole epoch."""
        return network_bytes(network, self._description, self._trained(self._history[-1]))

    def _epoch(
        self, epoch: int, trainer: Trainer, ready: Prepared, gap: GapNetwork, tick: Tick, previews: Previews
    ) -> None:
        """Trains one epoch and writes its files. The state comes first: the others can be restored from it."""
        began = time.perf_counter()
        train_loss, train_accuracy = trainer.train_epoch(epoch, ready.batches, tick)
        scores = trainer.evaluate(ready.batches, tick)
        row = EpochMetrics(
            epoch + 1,
            trainer.lr,
            train_loss,
            train_accuracy,
            scores.loss,
            scores.accuracy,
            time.perf_counter() - began,
            False,
        )
        if all(row.rank > before.rank for before in self._history if before.best):
            row, self._best = dataclasses.replace(row, best=True), scores
        network = ready.network(trainer.result, gap)
        previews.write(network, epoch + 1)
        self._history.append(row)
        assert self._best is not None
        best = self._network_bytes(network) if row.best else b""
        self._best_file = written_file(best) if best else self._best_file
        state = TrainingState(
            self._depends_on, tuple(self._history), self._best, trainer.state_dict(), self._best_file, previews.files
        )
        self._folder.write(STATE, state.to_bytes())
        if best:
            self._folder.write(BEST, best)
        self._folder.write(METRICS, metrics_csv(self._history))
        if time.perf_counter() - self._drawn > _BETWEEN_DRAWINGS:
            self._draw()
        self._observer.finished_epoch(row)

    @contextmanager
    def _stage(self, name: str, total: int) -> Iterator[Tick]:
        """Counts the images of a stage, measures its time, and raises `Interrupted` after a signal."""
        progress = TrainProgress(name, total)

        def tick(images: int) -> None:
            progress.done += images
            progress.last = self._history[-1] if self._history else None
            progress.epoch = min(len(self._history) + 1, self._job.epochs)
            self._observer.advanced(progress)
            if self._stop.signal is not None:
                raise Interrupted

        try:
            yield tick
        finally:
            self._seconds[name] = time.perf_counter() - progress.started

    def _config(self, data: Dataset) -> TrainingConfig:
        settings, job = self._settings, self._job
        weights = torch.tensor(data.class_weights, device=settings.device) if job.balance == "loss" else None
        return TrainingConfig(
            job.epochs,
            settings.lr,
            settings.backbone_lr,
            settings.precision,
            job.ema,
            weights,
            job.seed,
            job.label_smoothing,
        )

    def _planned(self, network: Network, data: Dataset, backend: str = "torch") -> TrainPlan:
        layer, settings = self._description.head.layer, self._settings
        return TrainPlan(
            model=network.name,
            weights=network.weights,
            layer=layer.name,
            layer_reason=layer.reason,
            grid=str(layer.layout),
            classes=data.classes,
            train_images=len(data.train),
            val_images=len(data.val),
            freeze=self._job.freeze,
            epochs=self._job.epochs,
            first_epoch=len(self._history) + 1,
            lr=settings.lr,
            batch_size=settings.batch_size,
            device=str(settings.device),
            precision=settings.precision,
            output=self._job.output,
            input=network.input_line,
            input_origins=dict(network.origins),
            backend=backend,
        )

    def _warn(self, ready: Prepared) -> None:
        if self._job.log_activations and self._job.freeze == "backbone":
            self._observer.warned("The backbone is frozen, so its feature maps never change: they are drawn once.")
        for sentence in (*ready.warnings, *ready.data.losses()):
            self._observer.warned(sentence)

    def _trained(self, row: EpochMetrics) -> dict[str, Any]:
        return {"epoch": row.epoch, "val_accuracy": round(row.val_accuracy, 6), "freeze": self._job.freeze}

    def _record(self, summary: TrainSummary) -> dict[str, Any]:
        return {
            **summary.as_dict(),
            "command": self._job.command,
            "plan": dataclasses.asdict(summary.plan),
            **recorded(self._job),
            "fingerprint": self._depends_on,
            "versions": versions(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
