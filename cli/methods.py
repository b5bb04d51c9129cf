"""`camx methods`: lists the methods with their cost, and those that work with a network."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cam_cli.cams.engine.options import LAYERS
from cam_cli.declared_types import Names, names_of
from cam_cli.errors import CamxError
from cam_cli.models.options import TASK
from cam_cli.models.tasks import AUTO
from cam_cli.options import Flag, check

from .bind import Command, flags_of
from .models import PrintJson
from .names import Names as FlagNames
from .network_flags import NetworkFlags
from .terminal import out, out_json, status

if TYPE_CHECKING:
    from cam_cli.cams.engine.method_survey import MethodReport, Survey
    from cam_cli.cams.methods.method import Method
    from cam_cli.models.hooks import TargetLayer

#: Fewest columns for the last cell of a row; with fewer, it goes below its row.
_NARROW = 24


@dataclass(frozen=True)
class MethodsJob:
    """Options of `camx methods`."""

    model: Annotated[
        str,
        Flag("A network as for --model of `camx explain`, or a checkpoint file.", argument=True, known="models"),
    ] = ""
    network: NetworkFlags = NetworkFlags()
    task: Annotated[str, TASK] = AUTO
    layers: Annotated[Names, LAYERS] = names_of("auto")
    as_json: PrintJson = False

    def __post_init__(self) -> None:
        check(self)
        if not self.model and (self.network != NetworkFlags() or self.task != AUTO or self.layers != ("auto",)):
            raise CamxError("The options need a network, and MODEL is missing.", "Give it: `camx methods resnet50`.")


def methods(job: MethodsJob) -> int:
    """List the methods of --method with their cost; with MODEL, which of them work with that network, and why not."""
    with status(f"trying every method with {job.model} …" if job.model else "reading the methods …"):
        from cam_cli.cams.methods.registry import METHODS

        survey, name = _surveyed(job) if job.model else (None, "")
    entries = list(METHODS.values())
    if job.as_json:
        out_json(as_data(entries, survey, name))
    elif survey is None:
        out("\n".join(fitted([_HEADER, *map(_row, entries)], _width())))
    else:
        for (name, reason), levels in _by_name(survey.layers).items():
            out(f"→ {name} ({'; '.join(levels)}): {reason}")
        rows = [_tried(METHODS[report.name], report) for report in survey.methods]
        out("\n".join(["", *fitted([("", "METHOD", "FORWARDS", ""), *rows], _width())]))
    return 0


def _by_name(layers: Sequence[TargetLayer]) -> dict[tuple[str, str], list[str]]:
    """Grids of target layers by name and reason, so that the levels of one module share a line."""
    found: dict[tuple[str, str], list[str]] = {}
    for layer in layers:
        found.setdefault((layer.name, layer.reason), []).append(str(layer.layout))
    return found


def _surveyed(job: MethodsJob) -> tuple[Survey, str]:
    from cam_cli.cams.engine.method_survey import survey_methods
    from cam_cli.models.catalog import load_model

    network = load_model(job.network.spec(job.model, task=job.task))
    return survey_methods(network, job.layers), network.name


def as_data(entries: Sequence[Method], survey: Survey | None, model: str) -> dict[str, Any]:
    """Methods for JSON; with a survey also its result for each method, and the target layers."""
    found = {report.name: report for report in survey.methods} if survey else {}
    listed = [{**_described(entry), **(_judged(found[entry.name]) if found else {})} for entry in entries]
    if survey is None:
        return {"methods": listed}
    layers = [
        {"name": one.name, "grid": [one.layout.height, one.layout.width], "channels": one.layout.channels}
        for one in survey.layers
    ]
    return {"model": model, "task": survey.task, "layers": layers, "methods": listed}


def _described(entry: Method) -> dict[str, Any]:
    return {
        "name": entry.name,
        "summary": entry.summary,
        "paper": entry.paper,
        "equation": entry.equation,
        "gradients": entry.gradients,
        "forwards": _forwards(entry),
        "works_with": entry.works,
    }


def _judged(report: MethodReport) -> dict[str, Any]:
    cost = report.cost._asdict() if report.cost else None
    return {"usable": report.usable, "reason": _in_flags(report.reason), "cost": cost}


def _forwards(entry: Method) -> str:
    return "1" if entry.forwards == "0" else f"1 + {entry.forwards}"


_HEADER = ("METHOD", "GRADIENTS", "FORWARDS", "WORKS WITH", "")


def _row(entry: Method) -> tuple[str, ...]:
    gradients = "yes" if entry.gradients else "no"
    return entry.name, gradients, _forwards(entry), entry.works, f"{entry.summary} ({entry.paper})"


def _tried(entry: Method, report: MethodReport) -> tuple[str, ...]:
    """Row of a method for a network: its cost and what it shows, or why it does not work."""
    shown = entry.summary if report.usable else _in_flags(report.reason)
    return " " if report.usable else "×", entry.name, str(report.cost or ""), shown


def _in_flags(reason: str) -> str:
    """Replaces fields in a reason by flags of `camx explain`."""
    from .explain import COMMAND as EXPLAIN

    return FlagNames(flags_of(EXPLAIN.run)).in_flags(reason)


def _width() -> int | None:
    """Columns of the terminal; None for a pipe or file, whose lines are not wrapped."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Yields rows as lines with aligned columns. Wraps the last cell at `width` columns; None: does not wrap.

    A last cell with fewer than 24 columns goes below its row.
    """
    widths = [max(map(len, column)) for column in zip(*rows)][:-1]
    for row in rows:
        head = "  ".join(cell.ljust(wide) for cell, wide in zip(row, widths)) + "  "
        if width is None or len(head) + len(row[-1]) <= width:
            yield f"{head}{row[-1]}".rstrip()
            continue
        if below := width - len(head) < _NARROW:
            yield head.rstrip()
        margin = " " * (4 if below else len(head))
        lines = textwrap.wrap(row[-1], max(width, _NARROW), initial_indent=margin, subsequent_indent=margin)
        if not below:
            lines[0] = head + lines[0].lstrip()
        yield from lines


COMMAND = Command(
    methods,
    examples={
        "camx methods": "all methods, what they show and what they cost",
        "camx methods resnet50": "which work with that network, and how many forwards each takes there",
        "camx methods vit_base_patch16_224 --json": "for scripts",
    },
    page="methods.md",
)
