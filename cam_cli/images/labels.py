"""Ground truth for the sources: the class folder an image lies in, or a table of image and label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from ..errors import CamxError
from .listing import Source
from .tables import read_table

FOLDER = "folder"


def labelled(sources: Sequence[Source], labels: str) -> tuple[Source, ...]:
    """The sources with their `label` filled in, as written by the user (an index or a class name).

    `labels` is `folder`, or a CSV with the columns `image` and `label`, where `image` is the key of the
    source, a path relative to the table, or an absolute path. Images the table lacks keep their label.
    """
    if labels == FOLDER:
        return tuple(replace(source, label=source.folder_label) for source in sources)
    by_key, by_path = _read(labels)
    known = tuple(
        replace(source, label=by_key.get(source.key) or by_path.get(os.path.abspath(source.path)) or source.label)
        for source in sources
    )
    if not any(source.label for source in known):
        raise CamxError(
            f"None of the {len(sources)} images is named in {labels!r}. "
            f"Its column `image` must hold paths such as {sources[0].key!r}."
        )
    return known


def _read(path: str) -> tuple[dict[str, str], dict[str, str]]:
    folder = os.path.dirname(path)
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = list(read_table(file, path, required="image"))
    except OSError as error:
        raise CamxError(
            f"`labels` {path!r} cannot be read: {error.strerror}. Give `folder` or a CSV with image,label."
        ) from error
    if not rows or "label" not in rows[0]:
        raise CamxError(f"{path!r} has no column 'label'. Its first line must name the columns image,label.")
    by_key = {PurePath(row["image"]).as_posix(): row["label"] for row in rows}
    by_path = {os.path.abspath(os.path.join(folder, row["image"])): row["label"] for row in rows}
    return by_key, by_path
