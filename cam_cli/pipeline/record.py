"""Builds `run.json`: options, results and versions of a run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from ..options import recorded
from ..outputs.record import RunRecord
from ..outputs.versions import versions
from .job import RunOptions
from .progress import Summary


def record(job: RunOptions, fingerprint: Mapping[str, Any], summary: Summary) -> RunRecord:
    """Content of `run.json` at the end of a run."""
    content: dict[str, Any] = {
        **summary.as_dict(),
        "command": job.command,
        "plan": summary.plan.as_dict(),
        **recorded(job),
        "fingerprint": dict(fingerprint),
        "versions": versions(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    if summary.plan.classes:
        content["classes"] = list(summary.plan.classes)
    return cast(RunRecord, content)
