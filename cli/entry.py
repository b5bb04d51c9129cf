"""Entry point of the `camx` script: answers completion before it imports the commands."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Completes or runs the command line."""
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
        # Ctrl-C during the imports: nothing has started.
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
