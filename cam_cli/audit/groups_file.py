"""Reads `--groups FILE.csv`: additional attributes of images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ..errors import CamxError
from ..images.tables import read_table
from ..regular_files import open_text

_NOT_ATTRIBUTES = ("", "image", "label")
#: Column of a table of tags, as the report saves them: one row per tag, so an image may have several rows.
_TAG = "tag"


@dataclass(frozen=True)
class GroupsFile:
    """Content of the file. columns: attributes of the images of a run, "" without a row. strangers: number of images in
    the file that are not in the run. unnamed: number of images in the run that are not in the file."""

    columns: Mapping[str, Sequence[str]]
    strangers: int
    unnamed: int


def read_groups(path: str, images: Sequence[str], inputs: str) -> GroupsFile:
    """Reads a table with the column `image` and one column per attribute.

    An image is named as in the run, by its path relative to the table, or by its absolute path. inputs: folder to which
    the names of the run are relative. In a table of tags (`image,tag`), the tags of an image form one group: `dark
    odd`. Raises `CamxError` for an unreadable table, for one without attributes, and for an image with two different
    rows.
    """
    try:
        with open_text(path) as file:
            rows = list(read_table(file, path, required="image"))
    except OSError as error:
        raise CamxError(
            f"`groups` {path!r} cannot be read: {error.strerror}.", "Give a CSV with image,COLUMN…", field="groups"
        ) from error
    names = [name for name in (rows[0] if rows else ()) if name not in _NOT_ATTRIBUTES]
    if not names:
        raise CamxError(
            f"`groups` {path!r} has no attribute.",
            "Add a column beside `image`, as in image,sex,site.",
            field="groups",
        )
    places = _Places(images, inputs, os.path.dirname(path))
    found: dict[str, dict[str, str]] = {}
    strangers = 0
    for row in rows:
        values = {name: row[name] for name in names}
        image = places.of(row["image"])
        if image is None:
            strangers += 1
        elif names == [_TAG] and image in found:
            found[image] = {_TAG: " ".join(sorted({*found[image][_TAG].split(), *values[_TAG].split()}))}
        elif found.setdefault(image, values) != values:
            raise CamxError(
                f"`groups` {path!r} has two rows for {row['image']!r} that differ "
                f"({_shown(found[image])} and {_shown(values)}). Keep one of them."
            )
    if not found:
        raise CamxError(
            f"`groups` {path!r} names no image of the run. "
            f"Its column `image` must hold names such as {images[0] if images else ''!r}."
        )
    columns = {name: [found[image][name] if image in found else "" for image in images] for name in names}
    return GroupsFile(columns, strangers, len(images) - len(found))


class _Places:
    """Finds the image of the run for a cell of the table."""

    def __init__(self, images: Sequence[str], inputs: str, folder: str) -> None:
        self._names = dict.fromkeys(images)
        self._paths = {os.path.abspath(os.path.join(inputs, image)): image for image in images}
        self._folder = folder

    def of(self, cell: str) -> str | None:
        name = PurePath(cell).as_posix()
        # predictions.csv puts an apostrophe before a name that a spreadsheet would run.
        for candidate in (name, name.removeprefix("'")):
            if candidate in self._names:
                return candidate
        return self._paths.get(os.path.abspath(os.path.join(self._folder, cell)))


def _shown(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in values.items())
