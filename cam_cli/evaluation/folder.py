"""The run that is evaluated: its rows, where its images lie, and how they are held."""

from __future__ import annotations

import os
from collections.abc import Iterator

from PIL import Image

from ..errors import CamxError
from ..images.orientation import Orientation, orientation_of
from ..report.run import EXPLAIN, Run
from .journal import Row


class ExplainedRun:
    """A folder of `camx explain`, read only.

    Raises `CamxError` for another one, and for one that is not finished unless `partial`.
    """

    def __init__(self, path: str, *, partial: bool) -> None:
        self._run = Run.read(path)
        self.path, self.record = path, self._run.record
        if self._run.kind != EXPLAIN:
            raise CamxError(f"{path!r} holds results of `camx {self._run.kind}`. Give the --output of `camx explain`.")
        state = self.record.get("state", "running")
        if state != "finished" and not partial:
            raise CamxError(
                f"The run in {path!r} is not finished (it is {state}): half of a sorted folder is its first classes. "
                "Finish it with the same command, or give --partial."
            )

    @property
    def base(self) -> str:
        """The folder in which the names of the images start."""
        return str((self.record.get("fingerprint") or {}).get("inputs", ""))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the network's classes; empty where the run does not tell them."""
        names = self.record.get("classes")
        return tuple(map(str, names)) if isinstance(names, list) else ()

    def rows(self) -> Iterator[Row]:
        """The rows of all images, in input order."""
        return self._run.rows()[1]

    def names(self) -> list[str]:
        return [row["image"] for row in self.rows()]

    def orientation(self, image: str) -> Orientation | None:
        """How the camera held an image, by its file; None where that is no longer there."""
        try:
            with Image.open(os.path.join(self.base, image)) as picture:
                return orientation_of(picture)
        # Whatever a decoder has against a file that is another one by now.
        except Exception:
            return None
