"""Reads typed tables as rows of text: JSON lines, and Parquet with pyarrow (`camx[parquet]`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import CamxError
from ..regular_files import TABLE_BYTES, open_regular, open_text
from .label_table import BETWEEN_LABELS, Columns
from .tables import Row, read_table

#: Rows of Parquet to unpack at once.
_ROWS = 1000


def table_rows(path: str, columns: Columns) -> list[Row]:
    """Rows of a `.csv`, `.tsv`, `.jsonl` or `.parquet` file, with lower-case column names and text values.

    Empty cells and null are "", a list is joined by `|`. Raises `OSError` for an unreadable file, and `CamxError` for
    one that is no such table or has no column of images.
    """
    name = path.lower()
    if name.endswith((".jsonl", ".ndjson")):
        rows = list(_json_lines(path))
    elif name.endswith(".parquet"):
        rows = list(_parquet(path))
    else:
        with open_text(path) as file:
            return list(read_table(file, path, required=columns.image_key, advice=columns.advice))
    if not any(columns.image_key in row for row in rows):
        shown = ", ".join(dict.fromkeys(key for row in rows[:100] for key in row))[:200] or "none"
        raise CamxError(f"{path!r} has no column {columns.image_key!r} (its columns: {shown}).", columns.advice)
    header = dict.fromkeys((key for row in rows for key in row), "")
    return [Row({**header, **row}, row.line) for row in rows]


def is_typed(path: str) -> bool:
    """Whether a path is JSON lines or Parquet."""
    return path.lower().endswith((".jsonl", ".ndjson", ".parquet"))


def _json_lines(path: str) -> Iterator[Row]:
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                content = json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
                raise CamxError(f"{path!r} has no valid JSON in line {number}: {reason}. Correct that line.") from error
            if not isinstance(content, dict):
                raise CamxError(f'{path!r}, line {number}: it is no object. Write one such as {{"image": "a.jpg"}}.')
            yield Row(_as_text(content), number)


def _parquet(path: str) -> Iterator[Row]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise CamxError(f"{path!r} needs pyarrow.", "Install it with `pip install 'camx[parquet]'`.") from error
    with open_regular(path, TABLE_BYTES) as file:
        try:
            letters = number = 0
            # A repeated value takes no space in the file.
            for batch in parquet.ParquetFile(file).iter_batches(_ROWS):
                for content in batch.to_pylist():
                    row = _as_text(content)
                    letters += 1 + sum(map(len, row.values()))
                    if letters > TABLE_BYTES:
                        raise CamxError(f"{path!r} has more than {TABLE_BYTES:,} bytes of text.", "Split the table.")
                    number += 1
                    yield Row(row, number)
        except (OSError, CamxError):
            raise
        # pyarrow raises many kinds of errors while it reads.
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise CamxError(f"{path!r} is no readable Parquet file: {reason}.", "Write it again.") from error


def _as_text(content: dict[Any, Any]) -> dict[str, str]:
    """Row with its values as text."""
    return {str(name).strip().lower(): _text(value) for name, value in content.items()}


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return BETWEEN_LABELS.join(map(_text, value))
    return str(value)
