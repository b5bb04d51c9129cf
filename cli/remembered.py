"""Writes the tables of completion that commands have at hand: names of models, layers and classes of a network."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from cam_cli.outputs.store import write_file

from .tables import file_state, network_name, table_path


def remember_models(found: Sequence[tuple[str, str]]) -> None:
    """Writes pairs of a library and a name."""
    bare = dict.fromkeys(name for _, name in found)
    whole = [f"{library}/{name}" for library, name in found if library != "camx"]
    write_table("models", {"names": [*bare, *whole]}, _versions())


def remember_network(model: str, layers: Sequence[str], classes: Sequence[str]) -> None:
    """Writes the layers that can be the target, the last ones first, and the names of the classes."""
    sources = [os.path.abspath(model)] if os.path.isfile(model) else []
    table = {"layers": list(layers)[::-1], "classes": list(classes)}
    write_table(network_name(model), table, [*sources, *_versions()])


def write_table(name: str, content: Mapping[str, Any], sources: Iterable[str]) -> None:
    """Keeps a table that was made from these files. A cache that cannot be written is none."""
    with contextlib.suppress(OSError):
        stamp = [[one, *file_state(one)] for one in sorted(set(sources))]
        write_file(table_path(name), json.dumps({**content, "stamp": stamp}).encode())


def _versions() -> list[str]:
    """Files that change with the version of the libraries of models."""
    found = (find_spec(name) for name in ("timm", "torchvision"))
    paths = [os.path.join(os.path.dirname(spec.origin), "version.py") for spec in found if spec and spec.origin]
    return [path for path in paths if os.path.isfile(path)]
