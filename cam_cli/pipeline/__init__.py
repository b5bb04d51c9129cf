"""The run: sources → decode → explain → encode → journal, all at once, continued where it was left."""

from .activations import plan_activations, run_activations
from .explain import plan, run
from .job import ActivationsJob, Job
from .progress import Observer, Plan, Progress, Summary
from .stop import Dropped, Stop

__all__ = [
    "ActivationsJob",
    "Dropped",
    "Job",
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
