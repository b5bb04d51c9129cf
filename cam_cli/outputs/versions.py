"""Versions of Python and of the packages that results depend on, for the record of a run."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("camx", "torch", "torchvision", "timm", "pillow", "numpy")


def versions() -> dict[str, str]:
    """Python and the packages that results depend on."""
    return {"python": platform.python_version(), **{package: _version(package) for package in _PACKAGES}}


def own_version() -> str:
    """The version of camx; `not installed` where it runs from its source tree."""
    return _version("camx")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
