"""`camx report`: the page of a run that is there already."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import out


def report(
    output: Annotated[str, typer.Argument(help="The --output of a run of explain, activations or train-gap.")],
) -> int:
    """Write report/index.html of a run, finished or not, from what it has left; needs no model and no GPU."""
    from cam_cli.report import build_report

    out(build_report(output))
    return 0
