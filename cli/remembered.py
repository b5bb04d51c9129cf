"""Writes completion tables from data that commands already have: models, and layers and classes of a network."""

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
    """Stores pairs (library, name) of models."""
    bare = dict.fromkeys(name for _, name in found)
    whole = [f"{library}/{name}" for library, name in found if library != "camx"]
    write_table("models", {"names": [*bare, *whole]}, _versions())


def remember_network(model: str, layers: Sequence[str], classes: Sequence[str]) -> None:
    """Stores possible target layers, last ones first, and class names of a network."""
    sources = [os.path.abspath(model)] if os.path.isfile(model) else []
    table = {"layers": list(layers)[::-1], "classes": list(classes)}
    write_table(network_name(model), table, [*sources, *_versions()])


def write_table(name: str, content: Mapping[str, Any], sources: Iterable[str]) -> None:
    """Stores a table that depends on these files. Ignores an unwritable cache."""
    with contextlib.suppress(OSError):
        stamp = [[one, *file_state(one)] for one in sorted(set(sources))]
        write_file(table_path(name), json.dumps({**content, "stamp": stamp}).encode())


def _versions() -> list[str]:
    """Files that change with the versions of the model libraries."""
    found = (find_spec(name) for name in ("timm", "torchvision"))
    paths = [os.path.join(os.path.dirname(spec.origin), "version.py") for spec in found if spec and spec.origin]
    return [path for path in paths if os.path.isfile(path)]
