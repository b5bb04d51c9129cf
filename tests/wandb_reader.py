"""Reads an offline W&B run from its `.wandb` file: blocks of records as in LevelDB's log, each a protobuf message."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK, _HEADER = 32768, 7
_FULL, _FIRST, _LAST = 1, 2, 4


@dataclass
class LoggedTable:
    """Columns and rows of a table. Images are dicts whose `file` is the staged file; their masks also have a file."""

    columns: list[str]
    rows: list[list[Any]]
    types: dict[str, Any]

    def column(self, name: str) -> list[Any]:
        return [row[self.columns.index(name)] for row in self.rows]


@dataclass
class LoggedRun:
    """The content of one run file. `exit_code` is None if the run was killed."""

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    def files(self, kind: str) -> dict[str, Path]:
        """The files of the artifact of a type."""
        (artifact,) = (a for a in self.artifacts.values() if a.type == kind)
        return {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}

    def tables(self, name: str) -> list[LoggedTable]:
        """Every table logged under a name, in order, from the artifacts that hold its images."""
        return [
            _table(files, name)
            for artifact in self.artifacts.values()
            if f"{name}.table.json" in (files := {e.path: e.local_path for e in artifact.manifest.contents})
        ]

    def table(self, name: str) -> LoggedTable:
        (table,) = self.tables(name)
        return table


def read_finished_run(folder: Path) -> LoggedRun:
    """The run in a folder. Waits, because W&B's own process may write the end of the file a moment after camx has
    ended."""
    for _ in range(100):
        read = read_run(folder)
        if read.exit_code is not None:
            break
        time.sleep(0.1)
    return read


def read_run(folder: Path) -> LoggedRun:
    """The run in a folder `offline-run-…`."""
    (path,) = folder.glob("*.wandb")
    read = LoggedRun()
    for record in _records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            read.run = record.run
            read.config |= _items(record.run.config.update)
        elif kind == "config":
            read.config |= _items(record.config.update)
        elif kind == "summary":
            read.summary |= _items(record.summary.update)
        elif kind == "history":
            read.history.append(_items(record.history.item))
        elif kind == "metric":
            read.metrics[record.metric.name] = record.metric.step_metric
        elif kind == "artifact":
            read.artifacts[f"{len(read.artifacts)} {record.artifact.name}"] = record.artifact
        elif kind == "exit":
            read.exit_code = record.exit.exit_code
    return read


def _table(files: dict[str, str], name: str) -> LoggedTable:
    content = json.loads(Path(files[f"{name}.table.json"]).read_text("utf-8"))
    for cell in (cell for row in content["data"] for cell in row if isinstance(cell, dict)):
        cell["file"] = files[cell["path"]]
        for mask in (cell.get("masks") or {}).values():
            mask["file"] = files[mask["path"]]
    return LoggedTable(content["columns"], content["data"], content["column_types"]["params"]["type_map"])


def _items(items: Any) -> dict[str, Any]:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[Any]:
    """The records of the file, without one that a kill has torn."""
    from wandb.proto import wandb_internal_pb2

    assert data[:4] == b":W&B"
    at, parts = _HEADER, b""
    while at + _HEADER <= len(data):
        if _BLOCK - at % _BLOCK < _HEADER:
            at += _BLOCK - at % _BLOCK
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, at)
        chunk = data[at + _HEADER : at + _HEADER + length]
        if not (checksum or length or kind) or len(chunk) < length:
            return
        assert zlib.crc32(chunk, zlib.crc32(bytes([kind]))) == checksum, f"bad checksum at {at}"
        at += _HEADER + length
        parts = chunk if kind in (_FULL, _FIRST) else parts + chunk
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
