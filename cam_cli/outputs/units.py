"""Types of numbers in rows and records, with the ranges that readers check."""

from __future__ import annotations

from typing import Annotated

from .shapes import Range

Share = Annotated[float, Range(0, 1)]
Count = Annotated[int, Range(0, 1e15)]
Pixels = Annotated[int, Range(1, 1e9)]
Seconds = Annotated[float, Range(0, 1e12)]
