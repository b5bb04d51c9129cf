"""Runs a task over images: decode → network → draw → journal, in parallel stages, and resumes earlier runs.

May import `features`, `faithfulness`, `text`, `report` and all layers below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .activations import plan_activations, run_activations
    from .ask import plan_ask, run_ask
    from .caption import plan_caption, run_caption
    from .evaluate import plan_evaluate, run_evaluate
    from .explain import plan, run
    from .job import ActivationsJob, EvaluateJob, ExplainJob
    from .progress import Observer, Plan, Progress, Summary
    from .stop import Dropped, Stop
    from .text_jobs import AskJob, CaptionJob

__all__ = [
    "ActivationsJob",
    "AskJob",
    "CaptionJob",
    "Dropped",
    "EvaluateJob",
    "ExplainJob",
    "Observer",
    "Plan",
    "Progress",
    "Stop",
    "Summary",
    "plan",
    "plan_activations",
    "plan_ask",
    "plan_caption",
    "plan_evaluate",
    "run",
    "run_activations",
    "run_ask",
    "run_caption",
    "run_evaluate",
]

_HOMES = {
    "ActivationsJob": "job",
    "AskJob": "text_jobs",
    "CaptionJob": "text_jobs",
    "Dropped": "stop",
    "EvaluateJob": "job",
    "ExplainJob": "job",
    "Observer": "progress",
    "Plan": "progress",
    "Progress": "progress",
    "Stop": "stop",
    "Summary": "progress",
    "plan": "explain",
    "plan_activations": "activations",
    "plan_ask": "ask",
    "plan_caption": "caption",
    "plan_evaluate": "evaluate",
    "run": "explain",
    "run_activations": "activations",
    "run_ask": "ask",
    "run_caption": "caption",
    "run_evaluate": "evaluate",
}


def __getattr__(name: str) -> Any:
    """Loads the public names on first use, so that the command line can read jobs without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
