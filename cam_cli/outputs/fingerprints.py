"""Differences between the fingerprints of two runs, as words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..redaction import redacted_values

#: Names of classes are written into rows again where they are others: no image is explained again for them.
_RENDERING = ("class_names",)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], *, exact: bool = False) -> list[str]:
    """The keys in which two fingerprints differ, nested ones joined by a dot, with both values: `layer (a → b)`.

    exact: names of classes count too.
    """
    # Records hold no secrets.
    plain = _flat(redacted_values(json.loads(json.dumps(dict(now), default=str))))
    before = _flat(redacted_values(before))
    return [
        f"{key} ({_short(before.get(key))} → {_short(plain.get(key))})"
        for key in {**before, **plain}
        if before.get(key) != plain.get(key) and (exact or key not in _RENDERING)
    ]


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A tree of keys as one level: {"a": {"b": 1}} → {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 24 else text[:10] + "…"
