"""`camx layers`: every layer that could be the target, and the one that `--layer auto` takes."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import out, out_json
from .options import MODEL, key_value, option


def layers(
    model: Annotated[str, typer.Argument(help="A name as --model of `camx explain` takes it, or a checkpoint file.")],
    checkpoint: Annotated[
        str | None,
        option(MODEL, "--checkpoint", help="Weights for that architecture; without them random ones serve."),
    ] = None,
    model_arg: Annotated[
        list[str] | None,
        option(MODEL, "--model-arg", help="Argument for building the model, KEY=VALUE. Repeatable."),
    ] = None,
    image_size: Annotated[int | None, option(MODEL, "--image-size", help="Input size in pixels.", min=16)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """List every layer that could be the target: output, grid, and why or why not; the automatic choice is marked."""
    import dataclasses
    import os

    from cam_cli.cams.target_layer.choose import list_layers
    from cam_cli.models.catalog import ModelSpec, load_model
    from cam_cli.models.names import DEMO, is_name
    from cam_cli.models.preprocessing import PreprocessingOptions

    spec = ModelSpec(
        model,
        checkpoint=checkpoint,
        # Random weights serve for a name; what holds its network with its weights is read as it is.
        pretrained=model == DEMO or (not is_name(model) and os.path.exists(model)),
        args=dict(map(key_value, model_arg or [])),
        preprocessing=PreprocessingOptions(image_size=image_size),
    )
    network = load_model(spec)
    found = list_layers(network.module, network.preprocessing.input_size, network.preprocessing.channels)
    if as_json:
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
