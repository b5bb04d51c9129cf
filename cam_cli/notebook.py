"""Shows the progress of a run in a notebook: one updated element, with warnings below."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from .pipeline.progress import Observer, Plan, Progress, Silent
from .sentences import counted

#: Seconds between two updates.
_INTERVAL = 0.5


class NotebookBar:
    """Draws a bar with finished images, their rate and the slowest stage through IPython."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html, self._display = HTML, display
        self._element: Any = display(HTML("starting …"), display_id=True)
        self._drawn = 0.0

    def planned(self, plan: Plan) -> None:
        self._update(f"{counted(plan.images, 'image')} · {plan.model} · layer {plan.layer} · {plan.device}")

    def advanced(self, progress: Progress) -> None:
        if time.monotonic() - self._drawn < _INTERVAL and progress.done < progress.total:
            return
        self._drawn = time.monotonic()
        text = f"{progress.done}/{progress.total} images, {progress.rate:.1f} img/s, bottleneck: {progress.limited_by}"
        self._update(text, f'<progress max="{progress.total}" value="{progress.done}"></progress> ')

    def warned(self, message: str) -> None:
        self._display(self._html(f"<p>warning: {escape(message)}</p>"))

    def _update(self, text: str, bar: str = "") -> None:
        self._element.update(self._html(f"<p>{bar}{escape(text)}</p>"))


@contextmanager
def notebook_observer(given: Observer | None) -> Iterator[Observer]:
    """Yields the given observer; without one, a bar in a notebook and a silent observer elsewhere."""
    yield given if given is not None else NotebookBar() if in_notebook() else Silent()


def in_notebook() -> bool:
    """Whether this process is a notebook kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})
