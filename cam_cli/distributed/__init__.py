"""The same job on several devices, in shards, or on a cluster: one journal, one resume, equal rows."""

from .merge import Merged, merge
from .run import plan, run

__all__ = ["Merged", "merge", "plan", "run"]
