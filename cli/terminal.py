"""Prints messages and progress to stderr, data to stdout, and errors as one sentence."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from cam_cli.redaction import redacted
from cam_cli.sentences import counted

from .names import Names

#: Text about the backend after device and precision.
BACKENDS = {"torch": "", "compile": ", compiled", "openvino": ", OpenVINO"}

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.status import Status

    from cam_cli.pipeline import Plan, Progress

#: Seconds between two lines of progress without a terminal.
_INTERVAL = 10.0
#: Narrowest terminal in columns for a bar and all figures on one line.
_WIDE = 90


#: Start of a line that GitHub, Azure or TeamCity execute as a command.
_RUNNER_COMMAND = re.compile(r"^(\s*)([:#])(?=:|#\w*\[)", re.MULTILINE)


#: Local folders that stand for addresses.
SHOWN_AS: dict[str, str] = {}


class Reporter:
    """Shows the progress of a run on stderr: a bar on a terminal, a line every 10 s elsewhere, nothing when quiet."""

    def __init__(
        self, *, quiet: bool, verbose: bool, color: bool, layer: str = "target layer", names: Names = Names()
    ) -> None:
        """layer: the word for the layer in messages. names: shows fields in warnings as flags."""
        self.quiet, self.verbose, self.layer, self._names = quiet, verbose, layer, names
        self.console = stderr_console(color=color)
        self._bar: Bar | None = None
        self._status: Status | None = None
        self._starting = ""
        self._last = time.monotonic()

    def starting(self, what: str) -> None:
        """Shows activity before the plan is known: import of torch, search for images, loading of the network."""
        if self.quiet:
            return
        if is_live(self.console):
            self._status = self.console.status(escape(printable(what)))
            self._status.start()
        elif announces_start(self.console):
            self._say(what)
        else:
            # A script with an immediate error gets only one sentence.
            self._starting = what

    def planned(self, plan: Plan) -> None:
        self._stop_status()
        if self.quiet:
            return
        if self._starting:
            self._say(self._starting)
        self._last = time.monotonic()
        done = f", {plan.skipped} of them done already" if plan.skipped else ""
        how = f"{plan.device}, {plan.precision}" + BACKENDS[plan.backend]
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
        if is_live(self.console):
            self._start_bar(plan)

    def advanced(self, progress: Progress) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=progress.done, **_figures(progress))
        elif not self.quiet and time.monotonic() - self._last >= _INTERVAL:
            self._last = time.monotonic()
            figures = _figures(progress)
            if progress.done_now:
                how = (
                    f"{figures['rate']}, {figures['left']}, {figures['failed']} failed, bottleneck: {figures['stage']}"
                )
            else:  # no image has passed all stages yet, so rate and slowest stage are unknown
                how = f"starting{_steps(progress)}, {figures['failed']} failed"
            self._say(f"{progress.done}/{progress.total} images, {how}")

    def warned(self, message: str) -> None:
        if self.quiet:
            return
        self.console.print(f"[yellow]warning:[/] {escape(printable(self._names.in_flags(message)))}")

    def inform(self, message: str) -> None:
        """Prints a message."""
        if not self.quiet:
            self._say(message)

    def failed(self, message: str) -> None:
        """Prints an error, even if quiet."""
        self._say(message)

    def annotate(self, commands: Iterable[str]) -> None:
        """Prints workflow commands of a CI job, one per line, which `printable` would escape."""
        for command in commands:
            line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in command)
            self.console.print(escape(line.encode("utf-8", "backslashreplace").decode()))

    def close(self) -> None:
        self._stop_status()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, text: str) -> None:
        self.console.print(escape(printable(text)))

    def _stop_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _start_bar(self, plan: Plan) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        columns: list[ProgressColumn] = [
            MofNCompleteColumn(),
            *map(TextColumn, ("{task.fields[rate]}", "{task.fields[left]}")),
        ]
        if self.console.width >= _WIDE:
            columns.insert(0, BarColumn())
            columns.append(TextColumn("{task.fields[failed]} failed · bottleneck: {task.fields[stage]}"))
        self._bar = Bar(*columns, console=self.console, transient=True)
        start: dict[str, Any] = {"rate": "", "left": "", "failed": 0, "stage": "…"}
        self._bar.add_task("", total=plan.images, completed=plan.skipped, **start)
        self._bar.start()


def stderr_console(*, color: bool = True) -> Console:
    """Console on stderr. Wraps lines between words on a terminal only."""
    console = Console(stderr=True, no_color=not color or None, highlight=False)
    console.soft_wrap = not on_terminal(console)
    if console.is_dumb_terminal:
        # Rich assumes 80 columns there.
        console.width, console.height = shutil.get_terminal_size()
    return console


def announces_start(console: Console) -> bool:
    """Whether a run prints its first step: on a terminal, and in a log before the import of torch, which takes
    seconds."""
    return on_terminal(console) or "torch" not in sys.modules


@contextmanager
def status(what: str) -> Iterator[None]:
    """While active, shows an activity on a terminal; nothing elsewhere."""
    console = stderr_console()
    if is_live(console):
        with console.status(escape(printable(what))):
            yield
    else:
        if on_terminal(console):
            console.print(escape(printable(what)))
        yield


def on_terminal(console: Console) -> bool:
    """Whether the stream is a terminal. `FORCE_COLOR`, as in notebooks and CI, colours a log, and leaves it a log."""
    return console.is_terminal and console.file.isatty()


def is_live(console: Console) -> bool:
    """Whether lines can be redrawn in place."""
    return on_terminal(console) and not console.is_dumb_terminal


def _figures(progress: Progress) -> dict[str, Any]:
    rate = f"{decimals(progress.rate)} img/s{_steps(progress)}"
    # From the same rate, because two estimates would contradict each other.
    left = f"{duration((progress.total - progress.done) / progress.rate)} left" if progress.done_now else ""
    return {"rate": rate, "left": left, "failed": progress.counts["failed"], "stage": progress.limited_by}


def duration(seconds: float) -> str:
    """`42 s`, `5 min 10 s` or `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _steps(progress: Progress) -> str:
    """Progress of a slow method within its image, or of the drawing at the end of a run; otherwise nothing."""
    if progress.drawn:
        return f", drawn on one scale {progress.drawn[0]} of {progress.drawn[1]}"
    return f", forward {progress.steps[0]} of {progress.steps[1]}" if progress.steps else ""


def decimals(rate: float) -> str:
    """A rate with one decimal; a slow one with two significant digits."""
    return f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


def fail(message: str) -> None:
    """Prints an error as one line on stderr."""
    console = stderr_console()
    console.print(f"[bold red]error:[/] {escape(printable(message))}")


def warn(message: str) -> None:
    """Prints a warning as one line on stderr, without a reporter."""
    stderr_console().print(f"[yellow]warning:[/] {escape(printable(message))}")


def printable(text: str) -> str:
    """Removes control characters and undecodable bytes, which hostile file names may hold, and secrets of addresses."""
    for path, address in SHOWN_AS.items():
        text = text.replace(path, address)
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in redacted(text))
    # A CI runner would execute a line that begins so.
    shown = _RUNNER_COMMAND.sub(lambda found: f"{found[1]}\\x{ord(found[2]):02x}", shown)
    return shown.encode("utf-8", "backslashreplace").decode()


def out(text: str) -> None:
    """Prints a line of data on stdout."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def out_json(content: Mapping[str, Any] | list[Any]) -> None:
    """Prints one JSON value on stdout."""
    out(json.dumps(content, ensure_ascii=True, indent=2, default=str))
