"""Chooses the reader of a truth, by name or by the files at its path."""

from __future__ import annotations

import os
from collections.abc import Callable

from ...errors import CamxError
from .box_table import read_box_table
from .coco import read_coco
from .files import beneath
from .mask_files import read_mask_files
from .names import AUTO
from .truth import Truth
from .voc import read_voc
from .yolo import read_yolo

READERS: dict[str, Callable[[str], Truth]] = {
    "coco": read_coco,
    "voc": read_voc,
    "yolo": read_yolo,
    "csv": read_box_table,
    "masks": read_mask_files,
}
_BY_EXTENSION = {
    ".json": "coco",
    ".xml": "voc",
    ".yaml": "yolo",
    ".yml": "yolo",
    ".txt": "yolo",
    ".csv": "csv",
    ".tsv": "csv",
}
_IN_FOLDERS = (("xml", "voc"), ("txt", "yolo"), ("png", "masks"))


def read_truth(path: str, wanted: str = AUTO) -> Truth:
    """Reads the ground truth at a path in a format of `READERS`. Raises `CamxError` for an unknown format."""
    return READERS[_found(path) if wanted == AUTO else wanted](path)


def _found(path: str) -> str:
    extension = os.path.splitext(path)[1].lower()
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, "data.yaml")):
            return "yolo"
        # Mask folders hold a list of classes; YOLO folders may.
        kinds = [name for end, name in _IN_FOLDERS if any(_no_list(inside) for inside, _ in beneath(path, f".{end}"))]
        if len(kinds) == 1:
            return kinds[0]
        if kinds:
            raise CamxError(f"{path!r} may be {' or '.join(kinds)}.", "Choose one with `truth_format`.")
    elif not os.path.exists(path):
        raise CamxError(f"The truth {path!r} does not exist. Check the path.")
    elif extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    raise CamxError(f"The format of {path!r} is not recognised.", f"Name it with `truth_format`: {', '.join(READERS)}.")


def _no_list(inside: str) -> bool:
    return inside.lower() not in ("classes.txt", "obj.names", "names.txt", "labels.txt", "readme.txt")
