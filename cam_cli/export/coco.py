"""Writes COCO JSON, which most labelling tools import."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..evaluation.journal import ImageRecord
from ..images.annotations.run_lengths import encoded
from .findings import Exported, ImageFindings, MapPart

_DESCRIPTION = (
    "Parts of class activation maps, found by camx, not drawn by hand. "
    "Pixels are those of the upright image: EXIF orientation is applied."
)


def coco_file(exported: Exported) -> Iterator[tuple[str, Iterator[bytes]]]:
    """One file, `coco.json`."""
    yield "coco.json", _pieces(exported)


def _pieces(exported: Exported) -> Iterator[bytes]:
    """The file in pieces: images and annotations line by line, to bound memory."""
    info = {"description": _DESCRIPTION, **exported.provenance}
    ids = {name: number for number, name in enumerate(exported.names, start=1)}
    yield b'{"info": ' + _json(info) + b',\n"licenses": [],\n"categories": '
    yield _json([_category(name, number, exported.options.shape) for name, number in ids.items()])
    yield b',\n"images": [\n'
    for number, record in enumerate(exported.records(), start=1):
        yield (b",\n" if number > 1 else b"") + _json(_image(record, number))
    yield b'\n],\n"annotations": [\n'
    count = 0
    for number, image in enumerate(exported.images(), start=1):
        for found in image.found:
            count += 1
            entry = _annotation(found, image, exported.options.shape)
            start = b",\n" if count > 1 else b""
            yield start + _json({"id": count, "image_id": number, "category_id": ids[found.name], **entry})
    yield b"\n]}\n"


def _category(name: str, number: int, shape: str) -> dict[str, Any]:
    points: dict[str, Any] = {"keypoints": ["peak"], "skeleton": []} if shape == "point" else {}
    return {"id": number, "name": name, "supercategory": "", **points}


def _image(image: ImageRecord, number: int) -> dict[str, Any]:
    return {"id": number, "file_name": image.image, "width": image.width, "height": image.height}


def _annotation(found: MapPart, image: ImageFindings, shape: str) -> dict[str, Any]:
    left, top, right, bottom = found.box
    entry: dict[str, Any] = {
        "bbox": [_short(left), _short(top), _short(right - left), _short(bottom - top)],
        "area": _short((right - left) * (bottom - top) if shape == "box" else found.area),
        "segmentation": [],
        "iscrowd": 0,
        "score": _short(found.probability, 6),
        "attributes": {"source": "camx", "method": found.method, "threshold": _short(found.threshold, 4)},
    }
    if shape == "polygon":
        # COCO reads several rings as several parts, so holes are filled.
        entry["segmentation"] = [[_short(value) for value in found.polygon.ravel().tolist()]]
    elif shape == "mask":
        counts = encoded(found.mask(image.width, image.height))
        entry["segmentation"] = {"size": [image.height, image.width], "counts": counts}
        entry["area"] = sum(counts[1::2])
    elif shape == "point":
        entry |= {"keypoints": [_short(found.point[0]), _short(found.point[1]), 2], "num_keypoints": 1}
    return entry


def _short(value: float, digits: int = 2) -> float:
    return round(value, digits)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
