"""Runs a task on several devices, in shards or on a Ray cluster, with one journal and the rows of a single device.

May import `pipeline` and all layers below it. Works with tasks, independent of commands."""

from .merge import Merged, merge
from .run import plan, run

__all__ = ["Merged", "merge", "plan", "run"]
