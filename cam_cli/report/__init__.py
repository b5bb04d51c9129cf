"""`report/index.html`: what a run has left, to look at. Derived from its files alone: no model, no torch."""

from .build import build_report
from .pictures import thumbnail_side

__all__ = ["build_report", "thumbnail_side"]
