"""Actors with faults that the processes of Ray can import."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cam_cli.distributed.actor import Actor
from cam_cli.images.listing import Source
from cam_cli.outputs.rows import ImageRow
from cam_cli.pipeline.progress import Progress


class Killed(Actor):
    """Its process ends at images named `once…` the first time, and at `always…` every time."""

    def explain_images(self, sources: Sequence[Source], progress: Progress) -> list[ImageRow]:
        rows = super().explain_images(sources, progress)
        for source in sources:
            name = Path(source.path).name
            note = Path(f"{source.path}.killed")
            if name.startswith("always") or (name.startswith("once") and not note.exists()):
                with note.open("a") as file:
                    file.write("killed\n")
                os._exit(9)
        return rows
