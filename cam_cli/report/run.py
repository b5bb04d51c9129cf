"""A run as it lies on the disk: which command left it, its record, its rows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import CamxError
from ..outputs.journal import Journal, Row
from ..run_layout import JOURNAL, METRICS, RECORD

EXPLAIN, ACTIVATIONS, TRAIN_GAP = "explain", "activations", "train-gap"


@dataclass(frozen=True)
class Run:
    """`kind` is the command that left the folder; `record` the content of `run.json`, empty if a kill came first."""

    path: str
    kind: str
    record: dict[str, Any]

    @classmethod
    def read(cls, path: str) -> Run:
        """Raises `CamxError` for a folder without results of camx."""
        if not os.path.isdir(path):
            raise CamxError(f"There is no folder {path!r}. Give the output folder of a run.")
        record = _record(os.path.join(path, RECORD))
        command = record.get("fingerprint", {}).get("command")
        if command in (EXPLAIN, ACTIVATIONS) and os.path.isfile(os.path.join(path, JOURNAL)):
            return cls(path, command, record)
        if command == TRAIN_GAP or (not record and os.path.isfile(os.path.join(path, METRICS))):
            return cls(path, TRAIN_GAP, record)
        raise CamxError(
            f"{path!r} holds no results of `camx explain`, `activations` or `train-gap`. "
            "Give the output folder of a run."
        )

    def file(self, relative: str) -> str:
        return os.path.join(self.path, relative)

    def has(self, relative: str) -> bool:
        return os.path.isfile(self.file(relative))

    def rows(self, keys: Iterable[str] | None = None) -> tuple[int, Iterator[Row]]:
        """How many rows, and the rows of these images; without keys of all images, in input order."""
        journal = Journal.read(self.file(JOURNAL))
        if keys is None:
            places = {row["image"]: row.get("index", 0) for row in journal.rows(journal)}
            ordered = sorted(journal, key=lambda key: places[key])
        else:
            ordered = [key for key in keys if key in journal]
        return len(ordered), journal.rows(ordered)


def _record(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CamxError(f"{path!r} cannot be read: {error}. Give the output folder of a run.") from error
    known = isinstance(content, dict) and isinstance(content.get("fingerprint"), dict)
    return content if known else {}
