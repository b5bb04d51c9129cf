"""`python -m cam_cli` is the command `camx`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

if __name__ == "__main__":
    # Installed, the command line is a part of this package; in the source tree it lies beside it.
    installed = f"{__package__}.cli"
    import_module(f"{installed if find_spec(installed) else 'cli'}.entry").main()
