"""The one place that reads and writes `run.json`."""

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
    """The record in a folder, and the names of fields that have a wrong shape and are left out of it.

    None where there is no record, or one that camx did not write. Raises `CamxError` for one that cannot be read, or
    that a later version of camx has written in another way.
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
    # Earlier versions wrote addresses as they were given.
    kept, wrong = without_wrong(RunRecord, redacted_values(content))
    if not _is_square(kept.get("confusion"), kept.get("classes")):
        del kept["confusion"]
        wrong.append("confusion")
    return cast(RunRecord, kept), wrong


def recovered_record(path: str) -> tuple[RunRecord | None, list[str]]:
    """The record in a folder. Where it is lost, the fingerprint that its parts in shards name. See `read_record`."""
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
    """The text of a record, with the version of its schema first, without secrets of addresses and variables."""
    content = redacted_values({"schema": SCHEMA, **record})
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _is_square(confusion: Any, classes: Any) -> bool:
    if confusion is None:
        return True
    size = len(classes or ())
    return len(confusion) == size and all(len(row) == size for row in confusion)
