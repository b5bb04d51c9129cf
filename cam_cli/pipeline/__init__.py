"""The run: sources → decode → explain → encode → journal, all at once, continued where it was left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .activations import plan_activations, run_activations
    from .explain import plan, run
    from .job import ActivationsJob, ExplainJob
    from .progress import Observer, Plan, Progress, Summary
    from .stop import Dropped, Stop

__all__ = [
    "ActivationsJob",
    "Dropped",
    "ExplainJob",
    "Observer",
    "Plan",
    "Progress",
    "Stop",
    "Summary",
    "plan",
    "plan_activations",
    "run",
    "run_activations",
]

_HOMES = {
    "ActivationsJob": "job",
    "Dropped": "stop",
    "ExplainJob": "job",
    "Observer": "progress",
    "Plan": "progress",
    "Progress": "progress",
    "Stop": "stop",
    "Summary": "progress",
    "plan": "explain",
    "plan_activations": "activations",
    "run": "explain",
    "run_activations": "activations",
}


def __getattr__(name: str) -> Any:
    """The names above, loaded when they are used: the command line reads the jobs without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
