"""Describes the differences between the fingerprints of two runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from ..redaction import redacted_values
from ..regular_files import read_regular

#: Keys that may differ: with other class names, finished rows are rewritten and no image is explained again.
_RENAMED = ("class_names",)
#: Start of the name of a network in a folder of the hub.
_FOLDER = "local-dir:"


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Keys in which two fingerprints differ, with both values: `layer (a → b)`. Joins nested keys by a dot, and ignores
    class names."""
    # Records have no secrets, so both sides are compared without them.
    plain = redacted_values(json.loads(json.dumps(dict(now), default=str)))
    plain, before = _flat(plain), _flat(_without_folder_name(redacted_values(before), plain))
    return [
        f"{key} ({_shown(before.get(key), plain.get(key))})"
        for key in {**before, **plain}
        if before.get(key) != plain.get(key) and key not in _RENAMED
    ]


def other_names(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two fingerprints have different class names."""
    return any(before.get(key) != now.get(key) for key in _RENAMED)


def _without_folder_name(before: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """Older fingerprint with the present name of its network instead of `local-dir:FOLDER`.

    0.1.0 named a network in a folder of the hub after the folder, and left out the arguments in its `config.json`. The
    digest of the weights shows whether the network is the same.
    """
    model = before.get("model")
    if not isinstance(model, str) or not model.startswith(_FOLDER):
        return before
    args = {**_config_args(model.removeprefix(_FOLDER)), **(before.get("model_args") or {})}
    return {**before, "model": now.get("model"), "model_args": args}


def _config_args(folder: str) -> dict[str, Any]:
    """Arguments of the network in the `config.json` of a folder; empty if it is missing or damaged."""
    try:
        args = json.loads(read_regular(os.path.join(folder, "config.json")))["model_args"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return args if isinstance(args, dict) else {}


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Flattens a tree of keys: {"a": {"b": 1}} → {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat


def _shown(before: object, now: object) -> str:
    """Two shortened values. A common beginning is left out."""
    one, other = (value if isinstance(value, str) else json.dumps(value) for value in (before, now))
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other)))
    start = max(0, alike - 5) if alike > 8 and max(len(one), len(other)) > 24 else 0
    return f"{_short(one, start)} → {_short(other, start)}"


def _short(text: str, start: int) -> str:
    rest = text[start:]
    return "…" * bool(start) + (rest if len(rest) <= 24 else rest[: 20 if start else 10] + "…")
