"""`camx models`: the names that `--model` takes."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import out, out_json


def models(
    pattern: Annotated[str, typer.Argument(help="A glob, or a word that the name contains.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """List the names usable with --model, of timm and torchvision."""
    from cam_cli.errors import CamxError, nearest
    from cam_cli.models.names import model_names

    found = model_names(pattern)
    if not found:
        known = {name for _, name in model_names()}
        raise CamxError(
            f"No model matches {pattern!r}.{nearest(pattern, known)} Leave the pattern out to see all {len(known)}."
        )
    listed = [(library, name, name if library == "camx" else f"{library}/{name}") for library, name in found]
    if as_json:
        out_json([{"name": name, "library": library, "model": model} for library, name, model in listed])
    else:
        out("\n".join(model for _, _, model in listed))
    return 0
