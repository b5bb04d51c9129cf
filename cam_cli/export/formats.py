"""Table of the formats, with the shapes that each can hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import CamxError, unknown
from ..outputs.folder import explained_errors
from ..outputs.store import write_file
from .box_table import box_table
from .coco import coco_file
from .findings import Exported
from .label_studio import label_studio_files
from .mask_files import mask_files
from .options import AUTO, ExportOptions
from .yolo import yolo_files


@dataclass(frozen=True)
class Format:
    """`files`: their names in the folder, and their contents in pieces. `shapes`: what it can hold, the usual first.
    `stems`: files of an image are named by its stem."""

    files: Callable[[Exported], Iterator[tuple[str, Iterator[bytes]]]]
    shapes: tuple[str, ...]
    stems: bool = False


FORMATS: dict[str, Format] = {
    "coco": Format(coco_file, ("box", "polygon", "mask", "point")),
    "yolo": Format(yolo_files, ("box", "polygon"), stems=True),
    "label-studio": Format(label_studio_files, ("box", "polygon", "point")),
    "csv": Format(box_table, ("box", "point")),
    "masks": Format(mask_files, ("mask",), stems=True),
}


def check_formats(options: ExportOptions) -> None:
    """Raises `CamxError` for a format that does not exist, or cannot hold the shape."""
    for name in options.format:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
        shapes = FORMATS[name].shapes
        if options.shape not in (AUTO, *shapes):
            raise CamxError(
                f"`format={name}` cannot hold `shape={options.shape}`.",
                f"Give `shape` {' or '.join(shapes)}.",
                field="shape",
            )


def write_formats(exported: Exported, folder: str) -> list[str]:
    """Write all formats of an export into a folder, each file whole; returns their names, of many only their folder.

    Raises `CamxError` where that fails.
    """
    written = dict[str, None]()
    with explained_errors(folder):
        for name in exported.options.format:
            own, shape = FORMATS[name], exported.options.shape
            for path, content in own.files(exported.in_shape(own.shapes[0] if shape == AUTO else shape)):
                write_file(os.path.join(folder, *path.split("/")), content, below=folder)
                written[path if "/" not in path else path.split("/")[0] + "/"] = None
    return list(written)
