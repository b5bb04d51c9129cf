"""The entry point of the `camx` script: completion is answered before the commands are imported."""

from __future__ import annotations

import os
import signal
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
    try:
        from .main import main as run

        run()
    except KeyboardInterrupt:
        # Ctrl-C while the commands are imported: nothing has begun.
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
