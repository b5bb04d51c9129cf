"""Output of the commands: messages and progress on stderr, data on stdout, errors as one sentence."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from cam_cli.redaction import redacted
from cam_cli.sentences import counted

from .names import Names

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from cam_cli.pipeline import Plan, Progress

#: Seconds between two lines of progress where there is no terminal.
_INTERVAL = 10.0


#: The beginning of a line that GitHub, Azure or TeamCity take for a command.
_RUNNER_COMMAND = re.compile(r"^(\s*)([:#])(?=:|#\w*\[)", re.MULTILINE)


class Reporter:
    """Shows the progress of a run on stderr: a bar on a terminal, a line every 10 s elsewhere, nothing when quiet."""

    def __init__(
        self, *, quiet: bool, verbose: bool, color: bool, layer: str = "target layer", names: Names = Names()
    ) -> None:
        """`layer` is the word for the layer in messages; `names` shows fields in warnings as flags."""
        self.quiet, self.verbose, self.layer, self._names = quiet, verbose, layer, names
        self.console = Console(stderr=True, no_color=not color or None, highlight=False, soft_wrap=True)
        self._bar: Bar | None = None
        self._last = time.monotonic()

    def planned(self, plan: Plan) -> None:
        if self.quiet:
            return
        self._last = time.monotonic()
        done = f", {plan.skipped} of them done already" if plan.skipped else ""
        how = f"{plan.device}, {plan.precision}" + ", compiled" * plan.compiled
        self._say(f"{counted(plan.images, 'image')}{done} · {plan.model} ({plan.weights}) · {how}")
        self._say(f"{self.layer} {plan.layer} ({plan.grid}): {plan.layer_reason}")
        self._say(f"input {plan.input}")
        for note in plan.weights_notes:
            self._say(self._names.in_flags(note))
        if plan.cost:
            self._say(plan.cost)
        if plan.passed_over and self.verbose:
            passed_over = counted(plan.passed_over, "file")
            self._say(f"left out {passed_over} without an image extension; --include '*' takes every file")
        if self.console.is_terminal:
            self._start_bar(plan)

    def advanced(self, progress: Progress) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=progress.done, **_figures(progress))
        elif not self.quiet and time.monotonic() - self._last >= _INTERVAL:
            self._last = time.monotonic()
            figures = _figures(progress)
            if progress.done_now:
                left = f"{(progress.total - progress.done) / progress.rate:.0f} s left"
                how = f"{figures['rate']}, {left}, {figures['failed']} failed, limited by {figures['stage']}"
            else:  # no image is through all stages yet: neither a rate nor the slowest one is known
                how = f"starting{_steps(progress)}, {figures['failed']} failed"
            self._say(f"{progress.done}/{progress.total} images, {how}")

    def warned(self, message: str) -> None:
        if self.quiet:
            return
        self.console.print(f"[yellow]warning:[/] {escape(printable(self._names.in_flags(message)))}")

    def said(self, message: str) -> None:
        """Prints a message that is no warning."""
        if not self.quiet:
            self._say(message)

    def annotate(self, commands: Iterable[str]) -> None:
        """Prints commands for the runner of a CI job, a line each, which `printable` would keep from it."""
        for command in commands:
            line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in command)
            self.console.print(escape(line.encode("utf-8", "backslashreplace").decode()))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, text: str) -> None:
        self.console.print(escape(printable(text)))

    def _start_bar(self, plan: Plan) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]} failed · {task.fields[stage]} limits"),
        )
        self._bar = Bar(*columns, console=self.console, transient=True)
        self._bar.add_task("", total=plan.images, completed=plan.skipped, rate="", failed=0, stage="…")
        self._bar.start()


def _figures(progress: Progress) -> dict[str, Any]:
    rate = f"{decimals(progress.rate)} img/s{_steps(progress)}"
    return {"rate": rate, "failed": progress.counts["failed"], "stage": progress.limited_by}


def _steps(progress: Progress) -> str:
    """Progress of a slow method within its image; otherwise nothing."""
    return f", forward {progress.steps[0]} of {progress.steps[1]}" if progress.steps else ""


def decimals(rate: float) -> str:
    """A rate with one decimal; a slow one with two digits, so that it is not 0.0."""
    return f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


def fail(message: str) -> None:
    """An error as one line on stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]error:[/] {escape(printable(message))}")


def printable(text: str) -> str:
    """Text without control characters, without bytes that no terminal can show, since file names are hostile, and
    without secrets of addresses."""
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in redacted(text))
    # A runner of CI jobs would obey a line that begins so.
    shown = _RUNNER_COMMAND.sub(lambda found: f"{found[1]}\\x{ord(found[2]):02x}", shown)
    return shown.encode("utf-8", "backslashreplace").decode()


def out(text: str) -> None:
    """A line of data on stdout."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def out_json(content: Mapping[str, Any] | list[Any]) -> None:
    """One JSON value on stdout."""
    out(json.dumps(content, ensure_ascii=True, indent=2, default=str))
