"""Synthetic scenes of twelve drawn classes with exact object masks, deterministic from a seed."""

from __future__ import annotations

from .catalogue import CLASSES
from .dataset import write_dataset
from .scene import DrawnObject, Scene, render

__all__ = ["CLASSES", "DrawnObject", "Scene", "render", "write_dataset"]
