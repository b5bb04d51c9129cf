"""Ground truth for the sources: the class folder an image lies in, or a table of image and label."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from ..errors import CamxError
from ..regular_files import open_text
from .label_table import NO_TRUTH, Truth, truth_of
from .listing import Inputs, Source
from .tables import read_table

FOLDER = "folder"
#: Images that a note names; of the others it says that there are more.
_NAMED = 3


def labelled(inputs: Inputs, labels: str) -> Inputs:
    """The inputs with the labels of their sources, as written by the user (an index or a class name).

    labels: `folder`, or a CSV with the columns `image` and `label`, where several labels are separated by `|`; other
    columns are attributes. `image` is the key of the source, a path relative to the table, or an absolute path. Images
    that the table lacks keep their label. The notes of the inputs say what is doubtful.
    """
    if labels == FOLDER:
        return replace(inputs, sources=tuple(replace(one, label=one.folder_label) for one in inputs.sources))
    table = _Table(labels)
    sources = tuple(table.on(source) for source in inputs.sources)
    if not table.used:
        raise CamxError(
            f"None of the {len(sources)} images is named in {labels!r}. "
            f"Its column `image` must hold paths such as {sources[0].key!r}."
        )
    return replace(inputs, sources=sources, notes=(*inputs.notes, *table.notes()))


class _Table:
    """A table of labels. used: its names of images that belong to a source."""

    def __init__(self, path: str) -> None:
        self._path, self._folder = path, os.path.dirname(path)
        rows = _read(path)
        self._truths: dict[str, Truth] = {}
        self._several: dict[str, None] = {}
        self._contradicted: dict[str, None] = {}
        for row in rows:
            self._add(PurePath(row["image"]).as_posix(), truth_of(row))
        self._by_path = {os.path.abspath(os.path.join(self._folder, image)): image for image in self._truths}
        self.used: set[str] = set()

    def _add(self, image: str, truth: Truth) -> None:
        before = self._truths.get(image)
        if before is None:
            self._truths[image] = truth
            return
        self._truths[image] = before.joined(truth)
        if len(self._truths[image].labels) > max(len(before.labels), len(truth.labels), 1):
            self._several[image] = None
        if before.contradicts(truth):
            self._contradicted[image] = None

    def on(self, source: Source) -> Source:
        """The source with its row; as it was where the table has none, or no label for it."""
        image = source.key if source.key in self._truths else self._by_path.get(os.path.abspath(source.path))
        if image is None:
            return source
        self.used.add(image)
        truth = self._truths.get(image, NO_TRUTH)
        label, *more = truth.labels or source.labels or ("",)
        attributes = {**dict(source.attributes), **dict(truth.attributes)}
        return replace(source, label=label, more_labels=tuple(more), attributes=tuple(attributes.items()))

    def notes(self) -> Iterator[str]:
        """What the rows say that no image has, or that another row denies."""
        left = [image for image in self._truths if image not in self.used]
        if left:
            yield f"{len(left)} images of {self._path!r} are not among the images of this run ({_named(left)})."
        if several := [image for image in self._several if image in self.used]:
            yield (
                f"{len(several)} images have rows with different labels in {self._path!r} ({self._labels(several)}): "
                "all count as true, and one of them is enough for `correct`."
            )
        if denied := [image for image in self._contradicted if image in self.used]:
            yield (
                f"{len(denied)} images have rows with different attributes in {self._path!r} ({_named(denied)}); "
                "the first row counts."
            )

    def _labels(self, images: list[str]) -> str:
        return _named([f"{image}: {', '.join(self._truths[image].labels)}" for image in images])


def _named(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def _read(path: str) -> list[dict[str, str]]:
    try:
        with open_text(path) as file:
            rows = list(read_table(file, path, required="image"))
    except OSError as error:
        raise CamxError(
            f"`labels` {path!r} cannot be read: {error.strerror}. Give `folder` or a CSV with image,label."
        ) from error
    if not rows or "label" not in rows[0]:
        raise CamxError(f"{path!r} has no column 'label'. Its first line must name the columns image,label.")
    return rows
