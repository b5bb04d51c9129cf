"""Renders the table of methods in `docs/methods.md` from the registry: summary, paper, equation, cost."""

from __future__ import annotations

from cam_cli.cams.methods.method import Method
from cam_cli.cams.methods.registry import METHODS

_HEAD = """\
| method | what it shows | paper | equation | gradients | forwards | works with |
|---|---|---|---|---|---|---|"""


def methods_table() -> str:
    """A row for every method, in the order of the help."""
    return "\n".join([_HEAD, *(_row(name, method) for name, method in METHODS.items())])


def _row(name: str, method: Method) -> str:
    forwards = "1" if method.forwards == "0" else f"1 + {method.forwards}"
    gradients = "yes" if method.gradients else "no"
    cells = (f"`{name}`", method.summary, method.paper, method.equation, gradients, forwards, method.works)
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
