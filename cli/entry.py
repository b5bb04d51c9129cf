"""The entry point of the `camx` script: completion is answered before the commands are imported."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Completes, or runs the command line."""
    if "_CAMX_COMPLETE" in os.environ:
        from .complete import answer

        found = answer(os.environ)
        if found is not None:
            text, code = found
            if text:
                print(text)
            sys.exit(code)
    from .main import main as run

    run()


if __name__ == "__main__":
    main()
