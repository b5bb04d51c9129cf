"""`camx explain`: one `ExplainJob`, a run, and its exit code."""

from __future__ import annotations

from cam_cli.pipeline.job import ExplainJob

from .run_command import RunFlags, Words, run_command

WORDS = Words(done="explained", layer="target layer", table="predictions.csv")


def explain(job: ExplainJob, run: RunFlags) -> int:
    """Explain images: overlays, a table of top classes, and a journal that a second run continues from."""
    from cam_cli import distributed

    return run_command(job, run, WORDS, distributed.plan, distributed.run)
