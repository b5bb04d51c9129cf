"""Jobs on several devices, in shards, or on a cluster: one journal, one resume, rows equal to those of one device."""

from .merge import Merged, merge
from .run import plan, run

__all__ = ["Merged", "merge", "plan", "run"]
