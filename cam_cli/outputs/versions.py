"""Versions of Python and of the packages on which results depend, for the record."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("camx", "torch", "torchvision", "timm", "pillow", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages on which results depend."""
    return {"python": platform.python_version(), **{package: _version(package) for package in _PACKAGES}}


def own_version() -> str:
    """Version of camx; `not installed` in a source tree."""
    return _version("camx")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
