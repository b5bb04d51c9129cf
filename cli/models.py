"""`camx models`: lists names for `--model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cam_cli.options import Flag

from .bind import Command
from .terminal import out, out_json, status

#: Flag of commands that print lists.
PrintJson = Annotated[bool, Flag("Print JSON.", name="json")]


@dataclass(frozen=True)
class ModelsJob:
    """Options of `camx models`."""

    pattern: Annotated[str, Flag("A glob, or a word that the name contains.", argument=True, known="models")] = ""
    as_json: PrintJson = False


def models(job: ModelsJob) -> int:
    """List the names of timm and torchvision for --model."""
    from cam_cli.errors import CamxError, nearest

    with status("reading the names of timm and torchvision …"):
        from cam_cli.models.names import model_names

        from .remembered import remember_models

        found = model_names(job.pattern)
        if not job.pattern:
            remember_models(found)
    if not found:
        known = {name for _, name in model_names()}
        raise CamxError(
            f"No model matches {job.pattern!r}.{nearest(job.pattern, known)}",
            f"Leave the pattern out to see all {len(known)}.",
        )
    listed = [(library, name, name if library == "camx" else f"{library}/{name}") for library, name in found]
    if job.as_json:
        out_json([{"name": name, "library": library, "model": model} for library, name, model in listed])
    else:
        out("\n".join(model for _, _, model in listed))
    return 0


COMMAND = Command(
    models,
    examples={
        "camx models 'vit*'": "names for --model",
        "camx models resnet --json": "for scripts",
    },
)
