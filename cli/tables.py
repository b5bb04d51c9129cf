"""Reads completion tables: commands with flags, names of models, layers and classes of networks.

Each is a JSON file in the user's cache with a stamp of its source files, so that an outdated table is never used.
Tables that need torch are built in a separate process, for the next completion.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from cam_cli.regular_files import read_regular

#: Seconds after which a process that builds a table counts as dead.
_PATIENCE = 600.0
#: Largest table in bytes.
_LONGEST = 8 << 20
#: Extensions of weight files; names of models never end so.
_WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".tar")


def commands_table() -> dict[str, Any] | None:
    """Commands with their flags; None if the table is missing or outdated."""
    return _read("commands")


def model_names() -> tuple[str, ...]:
    """Names for `--model`; only `demo` until the table of timm and torchvision exists."""
    found = _read("models")
    if found is None:
        _make_later("models", "")
        return ("demo",)
    return tuple(found["names"])


def network_table(model: str) -> Mapping[str, list[str]]:
    """`layers` and `classes` of a network; empty until the table exists. Never runs code of the user."""
    name = network_name(model)
    found = _read(name)
    if found is None:
        is_file = model.lower().endswith(_WEIGHTS) and os.path.isfile(model)
        if is_file or model in model_names():
            _make_later(name, model)
        return {}
    return found


def network_name(model: str) -> str:
    """Name of the table of a network."""
    import hashlib

    whole = os.path.abspath(model) if os.path.exists(model) else model
    return f"network-{hashlib.sha256(whole.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}"


def run_classes(output: str) -> tuple[str, ...]:
    """Class names in the record of a run folder."""
    from cam_cli.errors import CamxError
    from cam_cli.outputs.run_folder import RunFolder

    try:
        return tuple(RunFolder.read(output).record.get("classes", ()))
    except CamxError:
        return ()


def _read(name: str) -> dict[str, Any] | None:
    """A table with unchanged sources, or None."""
    try:
        found = json.loads(read_regular(table_path(name), _LONGEST))
        stale = any(list(file_state(path)) != state for path, *state in found["stamp"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return None if stale or not isinstance(found, dict) else found


def file_state(path: str) -> tuple[int, int]:
    """Modification time in nanoseconds, and size in bytes. Raises `OSError`."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size


def table_path(name: str) -> str:
    """Path of a table. Each installation has its own tables in the shared cache."""
    import hashlib

    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.environ.get("CAMX_CACHE") or os.path.join(base, "camx")
    place = hashlib.sha256(f"{sys.prefix}\n{os.path.dirname(__file__)}".encode()).hexdigest()[:12]
    return os.path.join(folder, "completion", place, f"{name}.json")


def _make_later(name: str, model: str) -> None:
    """Starts a process that builds the table, unless one is running."""
    mark = f"{table_path(name)}.busy"
    try:
        os.makedirs(os.path.dirname(mark), exist_ok=True)
        if os.path.exists(mark) and time.time() - os.stat(mark).st_mtime < _PATIENCE:
            return
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT))
        os.utime(mark)
        start([f"import sys; from {__package__}.table_makers import make; make(*sys.argv[1:])", name, model])
    except OSError:
        return


def start(code: list[str]) -> None:
    """Starts a detached Python process for a line of code and its arguments."""
    import subprocess

    own = ("_CAMX", "_TYPER", "COMP_")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    silent = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, "-c", *code],
        env=variables,
        stdin=silent,
        stdout=silent,
        stderr=silent,
        start_new_session=True,
    )
