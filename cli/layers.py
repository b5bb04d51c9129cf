"""`camx layers`: every layer that could be the target, and the one that `--layer auto` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from cam_cli.models.options import ModelSpec, PreprocessingOptions
from cam_cli.options import MODEL, Flag
from cam_cli.parsers import key_value

from .bind import Command
from .models import PrintJson
from .terminal import out, out_json


@dataclass(frozen=True)
class LayersJob:
    """The network whose layers are listed."""

    model: Annotated[str, Flag("A name as --model of `camx explain` takes it, or a checkpoint file.", argument=True)]
    checkpoint: Annotated[
        str | None,
        Flag("Weights for that architecture; without them random ones serve.", panel=MODEL, example="weights.pth"),
    ] = None
    args: Annotated[
        Mapping[str, Any],
        Flag(
            "Argument for building the model, KEY=VALUE. Repeatable.",
            name="model-arg",
            panel=MODEL,
            parse=key_value,
            repeatable=True,
            example="drop_path_rate=0",
        ),
    ] = field(default_factory=dict)
    image_size: Annotated[int | None, Flag("Input size in pixels.", panel=MODEL, min=16, example="224")] = None
    as_json: PrintJson = False

    @property
    def spec(self) -> ModelSpec:
        """Random weights serve for a name; what holds its network with its weights is read as it is."""

        from cam_cli.models.names import DEMO, is_name
        from cam_cli.models.own_code import OwnCode

        # Layers do not depend on how images are normalised, which own code would have to say.
        unknown: dict[str, Any] = {"mean": (0.5,), "std": (0.5,)} if OwnCode.parse(self.model) else {}
        return ModelSpec(
            self.model,
            checkpoint=self.checkpoint,
            pretrained=self.model == DEMO or not is_name(self.model),
            args=self.args,
            preprocessing=PreprocessingOptions(image_size=self.image_size, **unknown),
        )


def layers(job: LayersJob) -> int:
    """List every possible target layer: its output, its grid, and why or why not; the automatic choice is marked."""
    import dataclasses

    from cam_cli.cams.target_layer.choose import list_layers
    from cam_cli.models.catalog import load_model

    network = load_model(job.spec)
    found = list_layers(network.module, network.preprocessing.input_size, network.preprocessing.channels)
    if job.as_json:
        out_json({"model": network.name, "layers": [dataclasses.asdict(report) for report in found]})
        return 0
    rows = [("", "LAYER", "TYPE", "OUTPUT", "GRID", "CHANNELS", "GRADIENT", "")]
    for report in found:
        mark = "→" if report.chosen else " " if report.usable else "×"
        shape = "×".join(map(str, report.shape[1:]))
        grid = f"{report.grid[0]}×{report.grid[1]}"
        gradient = f"{report.gradient:.0%}"
        rows.append((mark, report.name, report.type, shape, grid, str(report.channels), gradient, report.reason))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        out("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0


COMMAND = Command(
    layers,
    examples={
        "camx layers resnet50": "the automatic choice is marked",
        "camx layers vit_base_patch16_224 --json": "for scripts",
    },
    page="coverage.md",
)
