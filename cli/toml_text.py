"""Parses TOML with the module of this Python version."""

from __future__ import annotations

import sys
from typing import Any


def toml(text: str) -> dict[str, Any]:
    """Content of a TOML document. Raises `ValueError` for any other text."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    content: dict[str, Any] = tomllib.loads(text)
    return content
