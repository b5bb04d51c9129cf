"""`report/index.html`: the results of a run as a page. Derived from its files alone: no model, no torch."""

from .build import build_report
from .pictures import thumbnail_side

__all__ = ["build_report", "thumbnail_side"]
