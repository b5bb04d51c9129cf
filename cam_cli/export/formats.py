"""Table of the formats and their shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import CamxError, unknown
from .box_table import box_table
from .coco import coco_file
from .findings import Exported
from .label_studio import label_studio_files
from .mask_files import mask_files
from .options import AUTO, ExportOptions
from .stems import stems
from .yolo import yolo_files


@dataclass(frozen=True)
class Format:
    """A format. files: names in the folder, and contents in pieces. shapes: supported ones, the default first. names:
    of files for all images together. stems: folder and extension of files that are named by the stem of an image."""

    files: Callable[[Exported], Iterator[tuple[str, Iterator[bytes]]]]
    shapes: tuple[str, ...]
    names: tuple[str, ...]
    stems: tuple[str, str] | None = None

    def paths(self, exported: Exported) -> Iterator[str]:
        """Names of all files, without their contents."""
        yield from self.names
        if self.stems is not None:
            folder, extension = self.stems
            yield from (f"{folder}/{stem}{extension}" for stem in stems(exported))


FORMATS: dict[str, Format] = {
    "coco": Format(coco_file, ("box", "polygon", "mask", "point"), ("coco.json",)),
    "yolo": Format(yolo_files, ("box", "polygon"), ("data.yaml",), ("labels", ".txt")),
    "label-studio": Format(label_studio_files, ("box", "polygon", "point"), ("label-studio.xml", "label-studio.json")),
    "csv": Format(box_table, ("box", "point"), ("boxes.csv",)),
    "masks": Format(mask_files, ("mask",), ("masks/classes.txt",), ("masks", ".png")),
}


def check_formats(options: ExportOptions) -> None:
    """Raises `CamxError` for an unknown format, and for one that does not support the shape."""
    for name in options.format:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
        shapes = FORMATS[name].shapes
        if options.shape not in (AUTO, *shapes):
            raise CamxError(
                f"`format={name}` does not support `shape={options.shape}`.",
                f"Give `shape` {' or '.join(shapes)}.",
                field="shape",
            )
