"""Adds labels to sources: from class folders, or from a table of images and labels."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from ..errors import CamxError
from ..sentences import counted
from .label_table import NO_TRUTH, Columns, Truth, truth_of
from .listing import Inputs, Source
from .tables import Row
from .typed_tables import table_rows

FOLDER = "folder"
#: Joins rows of a table, whose column names are in lower case.
Fold = Callable[[Sequence[Row]], Sequence[Mapping[str, str]]]
#: Number of images that a note names.
_NAMED = 3


def with_labels(inputs: Inputs, labels: str, columns: Columns = Columns()) -> Inputs:
    """Inputs with the labels of their sources as the user wrote them (an index or a class name).

    labels: `folder`, or a table with an image and a label in each row; `|` separates several labels, other columns are
    attributes. An image is named by its key, a path relative to the table, or an absolute path; a frame also by its
    file. Images without a row keep their label. The notes of the inputs describe doubtful cases.
    """
    if labels == FOLDER:
        return replace(inputs, sources=tuple(replace(one, label=one.folder_label) for one in inputs.sources))
    return _joined(inputs, _Table(labels, columns, columns.label_key))


def with_table_attributes(inputs: Inputs, path: str, needed: str, fold: Fold = lambda rows: rows) -> Inputs:
    """Inputs with the columns of a table as attributes of their sources. Images are named as for `with_labels`.

    needed: required column of the table. fold: joins several rows of an image. Raises `CamxError` if the column is
    missing, or if no image has a row.
    """
    return _joined(inputs, _Table(path, Columns(), needed, fold))


class Column:
    """A column of a table by the images of its rows, which are named as for `with_labels`.

    Raises `CamxError` for a table without it.
    """

    def __init__(self, path: str, name: str) -> None:
        self._table, self._name = _Table(path, Columns(), name), name

    def of(self, source: Source) -> str:
        """The text in the row of an image; "" without one."""
        return dict(self._table.on(replace(source, attributes=())).attributes).get(self._name, "")

    @property
    def rows(self) -> dict[str, str]:
        """Text of each row by the name of its image, without empty texts."""
        found = {image: dict(truth.attributes).get(self._name, "") for image, truth in self._table.truths.items()}
        return {image: text for image, text in found.items() if text}

    @property
    def values(self) -> tuple[str, ...]:
        """The texts of all rows."""
        return tuple(self.rows.values())


def _joined(inputs: Inputs, table: _Table) -> Inputs:
    sources = tuple(table.on(source) for source in inputs.sources)
    if not table.used:
        raise CamxError(
            f"No image is named in {table.path!r}. Its column {table.column!r} must hold paths such as "
            f"{sources[0].key!r}."
        )
    return replace(inputs, sources=sources, notes=(*inputs.notes, *table.notes(len(sources))))


def _composed(path: str) -> str:
    """Normalises Unicode, which macOS decomposes, and the two slashes."""
    return unicodedata.normalize("NFC", path).replace("\\", "/")


class _Table:
    """A table of labels.

    used: image names that belong to a source. without_row: keys of sources without a row. column: name of the image
    column. truths: its rows.
    """

    def __init__(self, path: str, columns: Columns, needed: str, fold: Fold = lambda rows: rows) -> None:
        self.path, self.column, self._folder = path, columns.image, os.path.dirname(path)
        rows = fold(_read(path, columns, needed))
        self.truths: dict[str, Truth] = {}
        self._several: dict[str, None] = {}
        self._contradicted: dict[str, None] = {}
        for row in rows:
            self._add(PurePath(row[columns.image_key]).as_posix(), truth_of(row, columns))
        self._by_path = {os.path.abspath(os.path.join(self._folder, image)): image for image in self.truths}
        self._composed = _unique({image: _composed(image) for image in self.truths})
        self._composed_paths = _unique({image: _composed(path) for path, image in self._by_path.items()})
        self.used: set[str] = set()
        self.without_row: list[str] = []

    def _add(self, image: str, truth: Truth) -> None:
        before = self.truths.get(image)
        if before is None:
            self.truths[image] = truth
            return
        self.truths[image] = before.joined(truth)
        if len(self.truths[image].labels) > max(len(before.labels), len(truth.labels), 1):
            self._several[image] = None
        if before.contradicts(truth):
            self._contradicted[image] = None

    def on(self, source: Source) -> Source:
        """The source with the values of its row; unchanged without a row or label."""
        image = self._image_of(source)
        if image is None:
            self.without_row.append(source.key)
            return source
        self.used.add(image)
        truth = self.truths.get(image, NO_TRUTH)
        label, *more = truth.labels or source.labels or ("",)
        attributes = {**dict(source.attributes), **dict(truth.attributes)}
        return replace(source, label=label, more_labels=tuple(more), attributes=tuple(attributes.items()))

    def _image_of(self, source: Source) -> str | None:
        """Name of a source in the table: exact, else in another Unicode form."""
        path = os.path.abspath(source.path)
        for key in (source.key, source.key.rpartition("#")[0] if source.frame else ""):
            if key in self.truths:
                return key
        if path in self._by_path:
            return self._by_path[path]
        for key in (source.key, source.key.rpartition("#")[0] if source.frame else source.key):
            if (image := self._composed.get(_composed(key))) is not None:
                return image
        return self._composed_paths.get(_composed(path))

    def notes(self, images: int) -> Iterator[str]:
        """Warnings about rows without an image, contradicting rows, and images without a row."""
        left = [image for image in self.truths if image not in self.used]
        if left:
            yield f"{counted(len(left), 'image')} of {self.path!r} not among the images of this run ({_named(left)})."
        if self.without_row:
            count, some = len(self.without_row), _named(self.without_row)
            yield f"No row in {self.path!r} for {count} of {counted(images, 'image')} ({some})."
        if several := [image for image in self._several if image in self.used]:
            yield (
                f"{counted(len(several), 'image')} with different labels in {self.path!r} ({self._labels(several)}): "
                "all count as true, and one of them is enough for `correct`."
            )
        if denied := [image for image in self._contradicted if image in self.used]:
            yield (
                f"{counted(len(denied), 'image')} with different attributes in {self.path!r} ({_named(denied)}): "
                "the first row counts."
            )

    def _labels(self, images: list[str]) -> str:
        return _named([f"{image}: {', '.join(self.truths[image].labels)}" for image in images])


def _named(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def _unique(forms: Mapping[str, str]) -> dict[str, str]:
    """Names by their normalised forms, without forms that several names share."""
    counts = Counter(forms.values())
    return {form: name for name, form in forms.items() if counts[form] == 1}


def _read(path: str, columns: Columns, needed: str) -> list[Row]:
    labels = needed == columns.label_key
    try:
        rows = table_rows(path, columns)
    except OSError as error:
        ways = "Give `folder` or a CSV with image,label." if labels else f"Give a CSV with image,{needed}."
        what = "`labels`" if labels else "The table"
        raise CamxError(f"{what} {path!r} cannot be read: {error.strerror}. {ways}") from error
    if not rows:
        raise CamxError(f"{path!r} has no rows below its header.", "Add one for each image.")
    if needed not in rows[0]:
        header = ", ".join(rows[0])
        advice = columns.advice if labels else f"Add a header line `image,{needed}`."
        raise CamxError(
            f"{path!r} has no column {(columns.label if labels else needed)!r} (its columns: {header}).", advice
        )
    return rows
