"""Reads the evaluated run: rows, classes of the network, EXIF orientation of the images."""

from __future__ import annotations

import os
from collections.abc import Iterator

from PIL import Image

from ..errors import CamxError
from ..images.decode import readable_formats
from ..images.orientation import Orientation, orientation_of
from ..outputs.record import RunRecord
from ..outputs.rows import ImageRow
from ..outputs.run_folder import EXPLAIN, RunFolder
from ..regular_files import open_regular
from ..run_layout import is_inside


class ExplainedRun:
    """The output of `camx explain`, read-only.

    Raises `CamxError` for another folder, and for an unfinished run unless `partial`.
    """

    def __init__(self, path: str, *, partial: bool) -> None:
        self._folder = RunFolder.read(path)
        self.path = path
        if self._folder.command != EXPLAIN:
            raise CamxError(
                f"{path!r} holds results of `camx {self._folder.command}`. Give the output of `camx explain`."
            )
        if not self._folder.complete and not partial:
            raise CamxError(
                f"The run in {path!r} is not finished ({self._folder.state}): its images may be those of the first "
                "classes only.",
                "Finish it with the same command, or give `partial`.",
            )

    def require_probabilities(self) -> None:
        """Raises `CamxError` if the rows have no class probabilities."""
        self._folder.require_probabilities()

    @property
    def record(self) -> RunRecord:
        """The content of `run.json`."""
        return self._folder.record

    @property
    def base(self) -> str:
        """Folder to which the names of the images are relative."""
        return self._folder.inputs

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the network; empty if the run lacks them."""
        return tuple(self.record.get("classes", ()))

    @property
    def images(self) -> list[str]:
        """Names of the images, in input order."""
        return self._folder.images

    def rows(self) -> Iterator[ImageRow]:
        """Rows of all images, in input order."""
        return self._folder.rows()

    def notes(self) -> list[str]:
        """Sentences about damaged lines, which are left out."""
        return self._folder.problems()

    def orientation(self, image: str) -> Orientation | None:
        """EXIF orientation of an image, read from its file; None if the file is missing, or if the run ignored EXIF."""
        stored = self.record.get("fingerprint", {}).get("pixels", {}).get("exif") == "ignore"
        if stored or not is_inside(image):
            return None
        try:
            # Names come from a journal: never waits for a pipe, and uses only the decoders of images.
            with (
                open_regular(os.path.join(self.base, image)) as file,
                Image.open(file, formats=readable_formats()) as picture,
            ):
                return orientation_of(picture)
        # A decoder may raise anything on a file that has changed.
        except Exception:
            return None
