"""The run that is evaluated: its rows, the classes of its network, and how its images are held."""

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
    """A folder of `camx explain`, read only.

    Raises `CamxError` for another one, and for one that is not finished unless `partial`.
    """

    def __init__(self, path: str, *, partial: bool) -> None:
        self._folder = RunFolder.read(path)
        self.path = path
        if self._folder.command != EXPLAIN:
            raise CamxError(f"{path!r} holds results of `camx {self._folder.command}`. Give those of `camx explain`.")
        if not self._folder.complete and not partial:
            raise CamxError(
                f"The run in {path!r} is not finished (it is {self._folder.state}): half of a sorted folder is its "
                "first classes.",
                "Finish it with the same command, or give `partial`.",
            )

    def require_probabilities(self) -> None:
        """Raises `CamxError` where the rows have no probabilities of classes."""
        self._folder.require_probabilities()

    @property
    def record(self) -> RunRecord:
        """The content of `run.json`."""
        return self._folder.record

    @property
    def base(self) -> str:
        """The folder in which the names of the images start."""
        return self._folder.inputs

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the network's classes; empty where the run does not tell them."""
        return tuple(self.record.get("classes", ()))

    @property
    def images(self) -> list[str]:
        """The names of the images, in input order."""
        return self._folder.images

    def rows(self) -> Iterator[ImageRow]:
        """The rows of all images, in input order."""
        return self._folder.rows()

    def notes(self) -> list[str]:
        """Sentences on damaged lines that are left out."""
        return self._folder.problems()

    def orientation(self, image: str) -> Orientation | None:
        """EXIF orientation of an image, read from its file; None if the file is gone, and for a run over images as
        they are stored."""
        stored = self.record.get("fingerprint", {}).get("pixels", {}).get("exif") == "ignore"
        if stored or not is_inside(image):
            return None
        try:
            # Names come from a journal: a pipe is not waited for, and no other decoder than those of images is asked.
            with (
                open_regular(os.path.join(self.base, image)) as file,
                Image.open(file, formats=readable_formats()) as picture,
            ):
                return orientation_of(picture)
        # Whatever a decoder has against a file that is another one by now.
        except Exception:
            return None
