"""Messages from the process of a device to the run that started it, beside its plan, progress and summary."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..pipeline import Plan, Summary
from ..pipeline.progress import Progress


class Fingerprint(NamedTuple):
    """Everything that the results of this process depend on. It waits now for the run to let it begin."""

    content: dict[str, Any]


class Warned(NamedTuple):
    text: str


class Failed(NamedTuple):
    """The process cannot start or cannot go on: the sentence of its `CamxError`."""

    text: str


class Ended(NamedTuple):
    """The process is gone. `description` is that of its exit code."""

    description: str


Message = Fingerprint | Warned | Failed | Ended | Plan | Progress | Summary
