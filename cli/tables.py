"""The tables that completion reads: commands with their flags, names of models, layers and classes of networks.

Each is a JSON file in the user's cache with a stamp of the files that it was made from, so that a table never
outlives what it describes. Those that need torch are made by a process of their own, for the next time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from cam_cli.regular_files import read_regular

#: Seconds after which a process that was to make a table counts as gone.
_PATIENCE = 600.0
#: Bytes of a table that are read at most.
_LONGEST = 8 << 20
#: Files whose layers are looked up; a name of a model does not end so.
_WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".tar")


def commands_table() -> dict[str, Any] | None:
    """The commands with their flags; None where the table is missing or older than the program."""
    return _read("commands")


def model_names() -> tuple[str, ...]:
    """Names that `--model` takes; `demo` alone until they have been read from timm and torchvision."""
    found = _read("models")
    if found is None:
        _make_later("models", "")
        return ("demo",)
    return tuple(found["names"])


def network_table(model: str) -> Mapping[str, list[str]]:
    """`layers` and `classes` of a network; empty until they have been looked up. No code of the user is run for it."""
    name = network_name(model)
    found = _read(name)
    if found is None:
        is_file = model.lower().endswith(_WEIGHTS) and os.path.isfile(model)
        if is_file or model in model_names():
            _make_later(name, model)
        return {}
    return found


def network_name(model: str) -> str:
    """The name of the table of a network."""
    import hashlib

    whole = os.path.abspath(model) if os.path.exists(model) else model
    return f"network-{hashlib.sha256(whole.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}"


def run_classes(output: str) -> tuple[str, ...]:
    """The names of the classes that a run folder records."""
    from cam_cli.errors import CamxError
    from cam_cli.outputs.run_folder import RunFolder

    try:
        return tuple(RunFolder.read(output).record.get("classes", ()))
    except CamxError:
        return ()


def _read(name: str) -> dict[str, Any] | None:
    """A table whose sources are as they were."""
    try:
        found = json.loads(read_regular(table_path(name), _LONGEST))
        stale = any(list(file_state(path)) != state for path, *state in found["stamp"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return None if stale or not isinstance(found, dict) else found


def file_state(path: str) -> tuple[int, int]:
    """Time of change in nanoseconds, and bytes. Raises `OSError`."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size


def table_path(name: str) -> str:
    """Returns the file of a table. Installations share the cache: each has tables of its own."""
    import hashlib

    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.environ.get("CAMX_CACHE") or os.path.join(base, "camx")
    place = hashlib.sha256(f"{sys.prefix}\n{os.path.dirname(__file__)}".encode()).hexdigest()[:12]
    return os.path.join(folder, "completion", place, f"{name}.json")


def _make_later(name: str, model: str) -> None:
    """Starts a process that makes the table, unless one has begun to."""
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
    """Starts a process of Python for a line of code and its arguments, which lives on without the shell."""
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
