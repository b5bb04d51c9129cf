"""Reads COCO JSON: images, categories, and annotations with boxes, polygons and run lengths."""

from __future__ import annotations

import errno
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import CamxError
from ...regular_files import open_regular
from .run_lengths import counts_of
from .shapes import Box, Polygons, RunLengths, Shape
from .truth import Annotations, Problems, Size, Truth, TruthImage, TruthObject, as_read, clean_name

#: Largest file in bytes: parsed, it takes several times its size in memory.
_MOST_BYTES = 2 << 30


def read_coco(path: str) -> Truth:
    """Reads the truth of a COCO file. Raises `CamxError` for any other file."""
    content = _content(path)
    problems = Problems()
    names = _categories(content["categories"], problems)
    objects: defaultdict[Any, list[TruthObject]] = defaultdict(list)
    images = _images(content["images"], problems)
    for number, entry in enumerate(content["annotations"]):
        thing = f"annotation {entry.get('id', number) if isinstance(entry, dict) else number}"
        image = _image_of(entry, images)
        if image is None:
            problems.add("", thing, "no such image in the truth")
            continue
        try:
            objects[entry["image_id"]].append(_object(entry, names))
        except ValueError as error:
            reason, _, detail = str(error).partition(": ")
            problems.add(images[entry["image_id"]][0], thing, reason, detail)
    found = [TruthImage(name, as_read(Annotations(size, tuple(objects[key])))) for key, (name, size) in images.items()]
    return Truth("coco", tuple(found), stems=False, problems=problems)


def _content(path: str) -> dict[str, list[Any]]:
    try:
        with open_regular(path, _MOST_BYTES) as file:
            content = json.load(file)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise CamxError(
                f"{path!r} is larger than 2 GB.", "Split the truth by image, or give its boxes as CSV."
            ) from error
        raise CamxError(f"The truth {path!r} cannot be read: {error.strerror}. Check the path.") from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise CamxError(f"{path!r} is no valid JSON: {reason}.", "Export the truth again.") from error
    parts = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in parts):
        hint = " A list of detections has no images; give the file of the ground truth." * isinstance(content, list)
        raise CamxError(f"{path!r} is no COCO file: it needs the lists images, annotations and categories.{hint}")
    return content


def _categories(entries: Sequence[Any], problems: Problems) -> dict[Any, str]:
    names = {}
    for number, entry in enumerate(entries):
        key, name = (entry.get("id"), entry.get("name")) if isinstance(entry, dict) else (None, None)
        if _is_key(key) and isinstance(name, str) and name.strip():
            names[key] = name.strip()
        else:
            problems.add("", f"category {number}", "category without id or name")
    return names


def _images(entries: Sequence[Any], problems: Problems) -> dict[Any, tuple[str, Size | None]]:
    images: dict[Any, tuple[str, Size | None]] = {}
    for number, entry in enumerate(entries):
        key, name = (entry.get("id"), entry.get("file_name")) if isinstance(entry, dict) else (None, None)
        if not _is_key(key) or not isinstance(name, str) or not clean_name(name):
            problems.add("", f"image {number}", "image without id or file name")
        elif key in images:
            problems.add(name, f"image {number}", "two images of one id")
        else:
            images[key] = clean_name(name), _size(entry.get("width"), entry.get("height"))
    return images


def _is_key(key: object) -> bool:
    return isinstance(key, int | str)


def _image_of(entry: object, images: Mapping[Any, tuple[str, Size | None]]) -> tuple[str, Size | None] | None:
    key = entry.get("image_id") if isinstance(entry, dict) else None
    return images.get(key) if _is_key(key) else None


def _size(width: Any, height: Any) -> Size | None:
    """The stated size; None if missing or impossible for an image."""
    if not _is_number(width) or not _is_number(height) or width < 1 or height < 1:
        return None
    return int(width), int(height)


def _object(entry: Mapping[str, Any], names: Mapping[Any, str]) -> TruthObject:
    """Reads an annotation. Raises `ValueError` with `reason: detail` for an unusable one."""
    category = entry.get("category_id")
    if not _is_key(category) or category not in names:
        raise ValueError(f"unknown category: {category!r}")
    box = _box(entry["bbox"]) if entry.get("bbox") else None
    shape = _shape(entry.get("segmentation"))
    if shape is None and box is None:
        raise ValueError("neither box nor segmentation")
    crowd = "crowd" if entry.get("iscrowd") else ""
    return TruthObject(names[category], shape or box or Box(0, 0, 0, 0), crowd, box)


def _box(numbers: object) -> Box:
    if not isinstance(numbers, list) or len(numbers) != 4 or not all(map(_is_number, numbers)):
        raise ValueError(f"degenerate box: {str(numbers)[:80]}")
    left, top, width, height = map(float, numbers)
    return Box(left, top, left + width, top + height)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _shape(segmentation: object) -> Shape | None:
    """Polygons, or run lengths of either form; None without a segmentation."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation)
    if not isinstance(segmentation, list):
        raise ValueError("bad segmentation: neither polygons nor run lengths")
    rings = []
    for ring in segmentation:
        if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2 or not all(map(_is_number, ring)):
            raise ValueError("bad segmentation: a polygon needs pairs of numbers, three or more")
        rings.append(np.array(ring, dtype=np.float64).reshape(-1, 2))
    return Polygons(tuple(rings))


def _run_lengths(segmentation: Mapping[str, Any]) -> RunLengths:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or _size(*size) is None:
        raise ValueError("bad segmentation: run lengths without a size")
    if isinstance(counts, str):
        try:
            counts = counts_of(counts)
        except ValueError as error:
            raise ValueError(f"bad segmentation: {error}") from None
    if not isinstance(counts, list) or not all(isinstance(count, int) for count in counts):
        raise ValueError("bad segmentation: run lengths that are no numbers")
    return RunLengths(tuple(counts), width=size[1], height=size[0])
