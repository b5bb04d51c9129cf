"""Messages from the process of a device to its run, in addition to plan, progress and summary."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..pipeline import Plan, Summary
from ..pipeline.progress import Progress


class Fingerprint(NamedTuple):
    """Fingerprint of the process, which now waits for the answer of the run."""

    content: dict[str, Any]


class Warned(NamedTuple):
    text: str


class Failed(NamedTuple):
    """The process cannot start or continue. `message` of its `CamxError`."""

    text: str


class Ended(NamedTuple):
    """The process has ended. `description` of its exit code."""

    description: str


Message = Fingerprint | Warned | Failed | Ended | Plan | Progress | Summary
