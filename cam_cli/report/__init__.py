"""Builds HTML pages from the files of a run: report, comparison, evaluation, patterns. Needs no model, imports no
torch.

May import `compare`, `patterns`, `audit`, `export`, `evaluation`, `outputs`, `maps`, `images` and layers below."""

from .build import build_report
from .pictures import thumbnail_side

__all__ = ["build_report", "thumbnail_side"]
