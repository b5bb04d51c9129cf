"""`python -m camx` is the command `camx`."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("cam_cli", run_name="__main__")
