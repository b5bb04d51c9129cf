"""`import camx` gives the names of `cam_cli`, under the name that is installed.

>>> from camx import Explainer, load_model
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cam_cli
from cam_cli import __all__ as __all__

if TYPE_CHECKING:
    from cam_cli import *  # noqa: F403 - this package has all names of that one


def __getattr__(name: str) -> Any:
    """The names of `cam_cli`, loaded when they are used."""
    return getattr(cam_cli, name)


def __dir__() -> list[str]:
    return dir(cam_cli)
