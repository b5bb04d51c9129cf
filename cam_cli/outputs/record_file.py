"""Reads and writes `run.json`; no other file does."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, cast

from ..errors import CamxError
from ..redaction import redacted_values
from ..regular_files import read_regular
from ..run_layout import RECORD, part_folder, part_numbers
from .record import SCHEMA, RunRecord
from .shapes import parse_json, without_wrong


def read_record(path: str) -> tuple[RunRecord | None, list[str]]:
    """Record in a folder, and the names of malformed fields, which are left out.

    None without a record of camx. Raises `CamxError` for an unreadable one, and for one of a later schema.
    """
    file = os.path.join(path, RECORD)
    try:
        content = parse_json(read_regular(file))
    except (FileNotFoundError, NotADirectoryError):
        return None, []
    except OSError as error:
        raise CamxError(f"{file!r} cannot be read: {error.strerror or error}. Choose another folder.") from error
    except ValueError:
        return None, []
    if not isinstance(content, dict) or not isinstance(content.get("fingerprint"), dict):
        return None, []
    schema = content.get("schema", SCHEMA)
    if type(schema) is int and schema > SCHEMA:
        raise CamxError(
            f"{file!r} was written by a later camx (schema {schema}; this one reads {SCHEMA}). "
            "Update camx: pip install -U camx."
        )
    # Earlier versions wrote addresses with their secrets.
    kept, wrong = without_wrong(RunRecord, redacted_values(content))
    if not _is_square(kept.get("confusion"), kept.get("classes")):
        del kept["confusion"]
        wrong.append("confusion")
    return cast(RunRecord, kept), wrong


def recovered_record(path: str) -> tuple[RunRecord | None, list[str]]:
    """Record in a folder; if it is lost, the fingerprint from the parts of shards. See `read_record`."""
    found, wrong = read_record(path)
    for part in part_numbers(path) if found is None else ():
        own, _ = read_record(os.path.join(path, part_folder(*part)))
        if own is not None:
            recovered = RunRecord(state="running", fingerprint=own["fingerprint"])
            if "revision" in own:
                recovered["revision"] = own["revision"]
            return recovered, []
    return found, wrong


def record_bytes(record: Mapping[str, object]) -> bytes:
    """Text of a record, with its schema version first, without secrets."""
    content = redacted_values({"schema": SCHEMA, **record})
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _is_square(confusion: Any, classes: Any) -> bool:
    if confusion is None:
        return True
    size = len(classes or ())
    return len(confusion) == size and all(len(row) == size for row in confusion)
