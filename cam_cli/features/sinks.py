"""Destinations for the sheets of a `FeatureLogger`: a folder, or W&B."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from ..errors import CamxError
from ..outputs import store
from ..outputs.drawing import encode_image
from ..outputs.folder_errors import explained_errors


class Sink(Protocol):
    """Receives the sheets of one step: one RGB sheet per image, in the order of the batch."""

    def write(self, sheets: Sequence[Image.Image], step: int) -> None: ...


class FolderSink:
    """PNG files `PATH/step-000100/0.png`, one per image; creates the folders.

    prefix: the word before the number. Raises `CamxError` if the disk is full or the folder is not writable.
    """

    def __init__(self, path: str | os.PathLike[str], prefix: str = "step-") -> None:
        self.path, self.prefix = os.fspath(path), prefix

    def write(self, sheets: Sequence[Image.Image], step: int) -> None:
        with explained_errors(self.path):
            for index, sheet in enumerate(sheets):
                name = os.path.join(self.path, f"{self.prefix}{step:06d}", f"{index}.png")
                store.write_file(name, encode_image(sheet, "png"))


class WandbSink:
    """Logs images to a Weights & Biases run under `key`, with the number of the step in the caption.

    run: a run of W&B; None takes the active one. commit: send the images at once, for a loop that logs nothing else;
    without it, the next `run.log` of the loop sends them, and its count of steps stays the same. Raises
    `CamxError` without `wandb` or a run.
    """

    def __init__(self, run: Any = None, *, key: str = "activations", commit: bool = False) -> None:
        try:
            import wandb
        except ImportError as error:
            raise CamxError("Logging to W&B needs the package wandb. Install it with `pip install wandb`.") from error
        active: Any = wandb.run if run is None else run
        if active is None:
            raise CamxError("There is no W&B run to log to. Call wandb.init() first, or give WandbSink(run).")
        self._run, self._image, self.key, self.commit = active, wandb.Image, key, commit

    def write(self, sheets: Sequence[Image.Image], step: int) -> None:
        images = [self._image(sheet, caption=f"step {step}, image {i}") for i, sheet in enumerate(sheets)]
        self._run.log({self.key: images}, commit=self.commit)


def as_sink(to: Sink | str | os.PathLike[str]) -> Sink:
    """Wraps a path in a `FolderSink`; returns a sink unchanged."""
    return FolderSink(Path(to)) if isinstance(to, (str, os.PathLike)) else to
