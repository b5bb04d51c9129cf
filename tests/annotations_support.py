"""Helpers of `test_annotations`, `test_annotation_shapes` and `test_annotation_tables`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cam_cli.images.annotations.truth import Truth, TruthObject
from cam_cli.images.annotations.upright import upright

SIZE = (20, 10)


def objects_of(truth: Truth, size: tuple[int, int] = SIZE) -> dict[str, tuple[TruthObject, ...] | None]:
    """The usable objects of every image; all images have one size."""
    return {
        image.name: upright(image.read(size, truth.problems), image.name, size, lambda: None, truth.problems)
        for image in truth.images
    }


def coco(path: Path, annotations: list[Any], **more: Any) -> str:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 10}],
        "categories": [{"id": 7, "name": "dog"}, {"id": 9, "name": "cat"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 7, **one} for n, one in enumerate(annotations)],
        **more,
    }
    path.write_text(json.dumps(content))
    return str(path)


def voc_object(*edges: object, name: str = "dog", difficult: int = 0) -> str:
    box = "".join(f"<{e}>{v}</{e}>" for e, v in zip(("xmin", "ymin", "xmax", "ymax"), edges))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox></object>"


def voc(folder: Path, stem: str, *objects: str, size: tuple[int, int] = SIZE) -> None:
    folder.mkdir(exist_ok=True)
    width, height = size
    head = f"<size><width>{width}</width><height>{height}</height></size>"
    (folder / f"{stem}.xml").write_text(f"<annotation>{head}{''.join(objects)}</annotation>")
