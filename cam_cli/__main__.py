"""Runs the command `camx` as `python -m cam_cli`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

if __name__ == "__main__":
    # The installed command line is a part of this package; in the source tree it is a sibling.
    installed = f"{__package__}.cli"
    import_module(f"{installed if find_spec(installed) else 'cli'}.entry").main()
