"""`camx layers`: shows the automatic target layer with its reason, and other possible ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cam_cli.options import Flag
from cam_cli.sentences import joined_layers

from .bind import Command
from .models import PrintJson
from .network_flags import NetworkFlags
from .terminal import out, out_json, status

if TYPE_CHECKING:
    from cam_cli.cams.target_layer.choose import LayerReport


@dataclass(frozen=True)
class LayersJob:
    """Options of `camx layers`."""

    model: Annotated[
        str,
        Flag("A network as for --model of `camx explain`, or a checkpoint file.", argument=True, known="models"),
    ]
    network: NetworkFlags = NetworkFlags()
    all: Annotated[bool, Flag("Show every layer, also those that cannot be the target.")] = False
    as_json: PrintJson = False


def layers(job: LayersJob) -> int:
    """Show the target layer with the reason for the choice, and the last usable layer of each grid. --all shows every
    layer."""
    import dataclasses

    with status(f"loading {job.model} …"):
        from cam_cli.cams.target_layer.choose import list_layers
        from cam_cli.models.catalog import load_model
        from cam_cli.models.own_code import OwnCode

        from .remembered import remember_network

        network = load_model(job.network.spec(job.model))
        preprocessing = network.preprocessing
        found = list_layers(
            network.module, preprocessing.input_size, preprocessing.channels, network.scores, network.task
        )
    if OwnCode.parse(job.model) is None:
        remember_network(job.model, [one.name for one in found if one.usable], network.classes.names)
    if job.as_json:
        out_json({"model": network.name, "layers": [dataclasses.asdict(report) for report in found]})
        return 0
    chosen = [report for report in found if report.chosen]
    if chosen:
        reasons = dict.fromkeys(report.reason for report in chosen)
        out(f"→ {joined_layers(report.name for report in chosen)}: {'; '.join(reasons)}\n")
    shown = found if job.all else notable_layers(found)
    out("\n".join(_table(shown)))
    if len(shown) < len(found):
        out(f"\n{len(found) - len(shown)} more: camx layers {job.model} --all")
    return 0


def notable_layers(found: Sequence[LayerReport]) -> list[LayerReport]:
    """The chosen layers and the last usable one of every other grid, in order of execution."""
    last: dict[tuple[int, int], LayerReport] = {}
    for report in found:
        if report.usable and not (report.grid in last and last[report.grid].chosen):
            last[report.grid] = report
    return [report for report in found if any(report is one for one in last.values())]


def _table(reports: Sequence[LayerReport]) -> list[str]:
    rows = [("", "LAYER", "TYPE", "OUTPUT", "LAYOUT", "GRID", "CHANNELS", "GRADIENT", "")]
    for report in reports:
        mark = "→" if report.chosen else " " if report.usable else "×"
        prefix = f"+{report.prefix_tokens}" * bool(report.prefix_tokens)
        rows.append(
            (
                mark,
                report.name,
                report.type,
                "×".join(map(str, report.shape[1:])),
                f"{report.layout}{prefix}",
                f"{report.grid[0]}×{report.grid[1]}",
                str(report.channels),
                f"{report.gradient:.0%}",
                "chosen" if report.chosen else report.reason,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


COMMAND = Command(
    layers,
    examples={
        "camx layers resnet50": "the automatic choice and its reason, and the last layer of each grid",
        "camx layers resnet50 --all": "every layer with a feature map, and why it can or cannot be the target",
        "camx layers vit_base_patch16_224 --json": "for scripts",
    },
    page="coverage.md",
)
