"""Ends a command with gates: prints the result, writes CI summaries, and chooses the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cam_cli.options import GATES, OUTPUT, Flag

from .terminal import fail, out, out_json

if TYPE_CHECKING:
    from cam_cli.gates import GateResult

Junit = Annotated[
    str | None, Flag("Write the gates as JUnit XML to this file.", panel=GATES, metavar="FILE", example="gates.xml")
]

SummaryFile = Annotated[
    str | None,
    Flag(
        "Write the summary as Markdown to this file, as in the job summary of GitHub.",
        name="summary",
        panel=OUTPUT,
        metavar="FILE",
        example="summary.md",
    ),
]


def write_markdown(markdown: str, path: str | None) -> None:
    """Writes a summary to the requested file, if any."""
    from cam_cli.outputs.derived import write_beside

    if path:
        text = markdown if markdown.endswith("\n") else f"{markdown}\n"
        write_beside(path, text.encode("utf-8", "backslashreplace"))


def conclude(
    gates: Sequence[GateResult],
    *,
    lines: Iterable[str],
    summary: Mapping[str, Any],
    markdown: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Prints the result as lines or JSON (only failed gates if quiet), and appends it to the summary of a CI job.

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
