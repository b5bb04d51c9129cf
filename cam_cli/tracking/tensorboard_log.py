"""Writes TensorBoard event files into `OUT/tensorboard`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..errors import CamxError
from ..gates.markdown import cell
from .pictures import open_small
from .tracker import Chart, Confusion, Files, Gallery, ImageCell, RunInfo, Scalar, Step, Table, Value

FOLDER = "tensorboard"
_SIDE = 512
#: Largest number of rows of a table in text.
_ROWS = 200


def require_tensorboard() -> None:
    """Raises `CamxError` if the package is missing."""
    if find_spec("tensorboard") is None:
        raise CamxError(
            "`tensorboard` needs the package tensorboard. Install it with `pip install 'camx[tensorboard]'`."
        )


class TensorBoardTracker:
    """Numbers as scalars, images of tables as images, everything else as text."""

    def __init__(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._make: Any = SummaryWriter
        self._writer: Any = None

    def begin(self, info: RunInfo) -> None:
        self._writer = self._make(os.path.join(info.output, FOLDER))
        self._text("config", _fenced(json.dumps(info.config, indent=2, ensure_ascii=False)), 0)

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        step = at.value if at is not None else 0
        for name, value in values.items():
            if isinstance(value, Table):
                self._table(name, value, step)
            elif isinstance(value, Gallery):
                for number, image in enumerate(value.images):
                    self._image(f"{name}/{number:04} {image.caption}", image, step)
            elif isinstance(value, Confusion):
                rows = [[*pair, count] for pair, count in value.counts.items() if count]
                self._text(name, _markdown(("class", "predicted as", "images"), rows), step)
            elif isinstance(value, Chart):
                lines = [[name, x, y] for name, line in value.lines.items() for x, y in zip(*line)]
                self._text(
                    name,
                    _markdown(("line", value.x, "value"), lines or [list(bar) for bar in value.bars.items()]),
                    step,
                )
            elif isinstance(value, Files):
                self._text(name, "\n".join(f"* {cell(path)}" for path in value.paths.values()), step)
            else:
                self._scalar(name, value, step)
        self._writer.flush()

    def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
        self._text("summary", _fenced(json.dumps({**summary, "exit_code": exit_code}, indent=2)), 0)
        for name, value in summary.items():
            self._scalar(f"summary/{name}", value, 0)
        self._writer.close()

    def _scalar(self, name: str, value: Scalar, step: int) -> None:
        if isinstance(value, str):
            self._text(name, value, step)
        elif value is not None:
            self._writer.add_scalar(name, value, step)

    def _text(self, name: str, text: str, step: int) -> None:
        # File names may hold bytes that are not UTF-8.
        self._writer.add_text(name, text.encode("utf-8", "backslashreplace").decode(), step)

    def _table(self, name: str, table: Table, step: int) -> None:
        """Logs the last image of each row (the overlay, not the plain image), and the other cells as text."""
        plain = [
            i for i, column in enumerate(table.columns) if not any(isinstance(r[i], ImageCell) for r in table.rows)
        ]
        rows = [[row[i] for i in plain] for row in table.rows]
        self._text(name, _markdown([table.columns[i] for i in plain], rows), step)
        for number, row in enumerate(table.rows):
            pictures = [cell for cell in row if isinstance(cell, ImageCell)]
            if pictures:
                self._image(f"{name}/{number:04} {row[-1]}", pictures[-1], step)

    def _image(self, name: str, cell: ImageCell, step: int) -> None:
        pixels = np.asarray(open_small(cell.path, _SIDE))
        tag = "".join(letter if letter.isprintable() else "_" for letter in name)
        self._writer.add_image(tag, pixels, step, dataformats="HWC")


def _markdown(columns: Any, rows: list[list[Any]]) -> str:
    lines = [list(columns), ["---"] * len(columns), *rows[:_ROWS]]
    text = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    return text + (f"\n\n{len(rows) - _ROWS} more rows" if len(rows) > _ROWS else "")


def _cell(value: Any) -> str:
    return cell("" if value is None else f"{value:.4g}" if isinstance(value, float) else value)


def _fenced(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
