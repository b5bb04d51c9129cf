"""Shows the progress of a training on stderr: a bar per stage on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from cam_cli.sentences import counted

from .names import Names
from .terminal import is_live, printable, stderr_console

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from cam_cli.training.metrics import EpochMetrics
    from cam_cli.training.progress import TrainPlan, TrainProgress

#: Seconds between two lines of progress without a terminal.
_INTERVAL = 10.0


class TrainReporter:
    """Shows the progress of a training; only warnings if quiet."""

    def __init__(self, *, quiet: bool, verbose: bool, color: bool, names: Names = Names()) -> None:
        """names: shows fields in warnings as flags."""
        self.quiet, self.verbose, self._names = quiet, verbose, names
        self.console = stderr_console(color=color)
        self._bar: Bar | None = None
        self._stage = ""
        self._epochs = 0
        self._last = time.monotonic()

    def planned(self, plan: TrainPlan) -> None:
        self._epochs = plan.epochs
        trained = "the head on frozen features" if plan.freeze == "backbone" else "the whole network"
        again = f", from epoch {plan.first_epoch}" if plan.first_epoch > 1 else ""
        self._say(
            f"{counted(plan.train_images, 'training image')} and {counted(plan.val_images, 'validation image')} "
            f"of {counted(len(plan.classes), 'class', 'classes')}"
        )
        self._say(f"{plan.model} ({plan.weights}) cut at {plan.layer} ({plan.grid}): {plan.layer_reason}")
        self._say(f"input {plan.input}")
        self._say(
            f"training {trained}: {counted(plan.epochs, 'epoch')}{again}, batches of {plan.batch_size}, "
            f"learning rate {plan.lr:g}, {plan.device}, {plan.precision}"
        )

    def advanced(self, progress: TrainProgress) -> None:
        if self.quiet:
            return
        if is_live(self.console):
            self._draw(progress)
        elif time.monotonic() - self._last >= _INTERVAL:
            self._last = time.monotonic()
            left = (progress.total - progress.done) / max(progress.rate, 1e-9)
            self._say(
                f"{progress.stage}: {progress.done}/{progress.total} images, {progress.rate:.1f} img/s, "
                f"{left:.0f} s left{_latest(progress, self._epochs)}"
            )

    def finished_epoch(self, metrics: EpochMetrics) -> None:
        if self.verbose or not is_live(self.console):
            self._last = time.monotonic()
            self._say(
                f"epoch {metrics.epoch}/{self._epochs}: training loss {metrics.train_loss:.4f}, "
                f"accuracy {metrics.train_accuracy:.1%} · "
                f"validation loss {metrics.val_loss:.4f}, accuracy {metrics.val_accuracy:.1%}"
                f"{' · best' if metrics.best else ''}"
            )

    def warned(self, message: str) -> None:
        self.console.print(f"[yellow]warning:[/] {escape(printable(self._names.in_flags(message)))}")

    def inform(self, message: str) -> None:
        """Prints a message."""
        self._say(message)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(escape(printable(text)))

    def _draw(self, progress: TrainProgress) -> None:
        if self._stage != progress.stage or self._bar is None:
            self.close()
            self._stage = progress.stage
            self._bar = self._started(progress)
        figures: dict[str, Any] = {"rate": f"{progress.rate:.1f} img/s", "latest": _latest(progress, self._epochs)}
        self._bar.update(self._bar.task_ids[0], completed=progress.done, **figures)

    def _started(self, progress: TrainProgress) -> Bar:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[latest]}"),
        )
        bar = Bar(*columns, console=self.console, transient=True)
        bar.add_task(progress.stage, total=progress.total, rate="", latest="")
        bar.start()
        return bar


def _latest(progress: TrainProgress, epochs: int) -> str:
    """Current epoch, and validation accuracy of the previous one."""
    if progress.stage != "training":
        return ""
    last = f", validation {progress.last.val_accuracy:.1%}" if progress.last else ""
    return f" · epoch {progress.epoch}/{epochs}{last}"
