"""Writes Label Studio tasks with predictions, and the labelling interface for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from ..gates.junit import xml_text
from .findings import Exported, ImageFindings, MapPart

#: Control of the interface and kind of result for each shape.
_CONTROLS = {
    "box": ("RectangleLabels", "rectanglelabels"),
    "polygon": ("PolygonLabels", "polygonlabels"),
    "point": ("KeyPointLabels", "keypointlabels"),
}
#: Width of a point, in percent of the image.
_POINT = 0.75


def label_studio_files(exported: Exported) -> Iterator[tuple[str, Iterator[bytes]]]:
    """`label-studio.json` with the tasks, and `label-studio.xml` with the interface to set up before the import."""
    yield "label-studio.xml", iter([_interface(exported)])
    yield "label-studio.json", _tasks(exported)


def _interface(exported: Exported) -> bytes:
    control = _CONTROLS[exported.options.shape][0]
    # Label Studio exports points as COCO only if they have an order.
    orders = [
        f' model_index="{number}"' if exported.options.shape == "point" else "" for number in range(len(exported.names))
    ]
    labels = "".join(
        f"    <Label value={quoteattr(xml_text(name))}{order}/>\n" for name, order in zip(exported.names, orders)
    )
    return (
        f'<View>\n  <Image name="image" value="$image"/>\n  <{control} name="label" toName="image">\n'
        f"{labels}  </{control}>\n</View>\n"
    ).encode("utf-8", "backslashreplace")


def _tasks(exported: Exported) -> Iterator[bytes]:
    yield b"["
    for number, image in enumerate(exported.images()):
        yield (b"," if number else b"") + b"\n" + json.dumps(_task(exported, image), ensure_ascii=True).encode()
    yield b"\n]\n"


def _task(exported: Exported, image: ImageFindings) -> dict[str, Any]:
    about = exported.provenance
    version = f"camx {about['version']}, {about['method']}, threshold {about['threshold']} ({about['threshold_from']})"
    results = [_result(found, image, place, exported.options.shape) for place, found in enumerate(image.found)]
    score = max((found.probability for found in image.found), default=0.0)
    return {
        "data": {"image": exported.options.image_root + quote(image.image, errors="surrogateescape")},
        "predictions": [{"model_version": version, "score": round(score, 6), "result": results}],
    }


def _result(found: MapPart, image: ImageFindings, place: int, shape: str) -> dict[str, Any]:
    name = f"{image.image}:{place}".encode("utf-8", "surrogateescape")
    kind = _CONTROLS[shape][1]
    return {
        "id": hashlib.sha256(name).hexdigest()[:10],
        "type": kind,
        "from_name": "label",
        "to_name": "image",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "score": round(found.probability, 6),
        "value": {**_place(found, image, shape), kind: [xml_text(found.name)]},
    }


def _place(found: MapPart, image: ImageFindings, shape: str) -> dict[str, Any]:
    """Position in percent of the upright image."""
    percent = 100 / np.array([image.width, image.height])
    if shape == "polygon":
        return {"points": np.round(found.polygon * percent, 4).tolist(), "closed": True}
    if shape == "point":
        x, y = np.round(np.array(found.point) * percent, 4).tolist()
        return {"x": x, "y": y, "width": _POINT}
    left, top, right, bottom = found.box
    x, y = np.round(np.array([left, top]) * percent, 4).tolist()
    width, height = np.round(np.array([right - left, bottom - top]) * percent, 4).tolist()
    return {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
