"""Ends a command with gates: prints the result, writes the summary of a CI job, and chooses the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cam_cli.options import GATES, Flag

from .terminal import fail, out, out_json

if TYPE_CHECKING:
    from cam_cli.gates import GateResult

Junit = Annotated[
    str | None, Flag("Write the gates as JUnit XML to this file.", panel=GATES, metavar="FILE", example="gates.xml")
]


def tell(
    gates: Sequence[GateResult],
    *,
    lines: Iterable[str],
    summary: Mapping[str, Any],
    markdown: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Print the result as lines or as JSON, or failed gates alone when quiet; add it to the summary of a CI job.

    Returns the exit code.
    """
    from cam_cli.gates import FAIL, append_step_summary, exit_code

    if as_json:
        out_json(summary)
    elif not quiet:
        for line in lines:
            out(line)
    else:
        for gate in gates:
            if gate.verdict == FAIL:
                fail(f"{gate.text}: {gate.sentence}")
    append_step_summary(markdown)
    return exit_code(gates)
