"""Writes YOLO's text files and data.yaml."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import yaml

from .findings import Exported, ImageFindings, MapPart
from .stems import by_stem


def yolo_files(exported: Exported) -> Iterator[tuple[str, Iterator[bytes]]]:
    """`data.yaml`, and `labels/<name without extension>.txt` for every image, empty without parts."""
    numbers = {name: number for number, name in enumerate(exported.names)}
    yield "data.yaml", iter([_description(exported)])
    for stem, image in by_stem(exported):
        lines = [_line(found, image, numbers[found.name], exported.options.shape) for found in image.found]
        yield f"labels/{stem}.txt", iter(["".join(lines).encode("ascii")])


def _description(exported: Exported) -> bytes:
    """Content of data.yaml. Images are expected in `images/` beside the labels: without `path`, YOLO looks beside this
    file, not in the working folder."""
    content = {
        "train": "images",
        "val": "images",
        "names": dict(enumerate(exported.names)),
        "camx": dict(exported.provenance),
    }
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return text.encode("utf-8", "backslashreplace")


def _line(found: MapPart, image: ImageFindings, number: int, shape: str) -> str:
    if shape == "polygon":
        shares = np.clip(found.polygon / (image.width, image.height), 0, 1).ravel().tolist()
    else:
        left, top, right, bottom = found.box
        shares = [(left + right) / 2 / image.width, (top + bottom) / 2 / image.height,
                  (right - left) / image.width, (bottom - top) / image.height]  # fmt: skip
    return " ".join([str(number), *(f"{share:.6f}" for share in shares)]) + "\n"
