"""Maps jobs to tasks, and fingerprints of run folders to tables."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..errors import CamxError
from ..models.tasks import CLASSIFICATION
from .activations import ActivationsTask, activations_table
from .ask import AskTask, ask_table
from .caption import CaptionTask, caption_table
from .evaluate import EvaluateTask, faithfulness_table
from .explain import ExplainTask, explain_table
from .job import ActivationsJob, EvaluateJob, ExplainJob, RunOptions
from .task import AnyTask, Table
from .text_jobs import AskJob, CaptionJob


def task_of(job: RunOptions) -> AnyTask:
    """Task of a job."""
    match job:
        case ExplainJob():
            return ExplainTask.of(job)
        case ActivationsJob():
            return ActivationsTask(job)
        case EvaluateJob():
            return EvaluateTask(job)
        case CaptionJob():
            return CaptionTask(job)
        case AskJob():
            return AskTask(job)
    raise TypeError(f"{type(job).__name__} is the job of no command")


def table_of(fingerprint: Mapping[str, Any], job: Mapping[str, Any] = MappingProxyType({})) -> Table:
    """Table of a folder, from the fingerprint of its results and the formats in its job.

    Raises `CamxError` for a command without a table.
    """
    match fingerprint.get("command"):
        case "explain":
            forms = tuple(job.get("table", ()))
            return explain_table(fingerprint["top_k"], forms, fingerprint.get("task", CLASSIFICATION))
        case "activations":
            return activations_table()
        case "evaluate":
            return faithfulness_table(fingerprint["metrics"])
        case "caption":
            return caption_table()
        case "ask":
            return ask_table()
    raise CamxError(
        f"The folder holds results of `camx {fingerprint.get('command')}`, which has no table of images. "
        "Give the `output` of `camx explain`, `activations`, `evaluate`, `caption` or `ask`."
    )
