"""Reads `metrics.csv`, the table of a training, and checks its values."""

from __future__ import annotations

import csv
import io
import math
import os
from typing import Any, cast

from ..regular_files import read_regular
from ..run_layout import METRICS
from .epoch_rows import EpochRow
from .shapes import without_wrong


def read_metrics(path: str) -> tuple[list[EpochRow], int]:
    """Epochs in a folder, and the number of damaged lines (without an epoch number).

    Empty without a readable table. Leaves out values that are not finite or out of range. A file that is no CSV counts
    as one damaged line.
    """
    try:
        text = read_regular(os.path.join(path, METRICS)).decode("utf-8", "replace").replace("\0", "\ufffd")
        lines = list(csv.DictReader(io.StringIO(text, newline="")))
    except OSError:
        return [], 0
    except csv.Error:
        return [], 1
    rows = [row for line in lines if (row := _epoch(line)) is not None]
    return rows, len(lines) - len(rows)


def _epoch(line: dict[str, Any]) -> EpochRow | None:
    numbers = {name: number for name, text in line.items() if (number := _number(text)) is not None}
    for name, kind in (("epoch", int), ("best", bool)):
        if name in numbers and numbers[name].is_integer():
            numbers[name] = kind(numbers[name])
    row, _ = without_wrong(EpochRow, numbers)
    known = {name: row[name] for name in EpochRow.__annotations__ if name in row}
    return cast(EpochRow, known) if "epoch" in known else None


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
