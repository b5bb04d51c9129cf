"""Reads YOLO text files: one per image, one line per object, in shares of the image.

Class names come from data.yaml or a list.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import partial

import numpy as np

from ...errors import CamxError
from ...regular_files import CONFIG_BYTES
from ...yaml_text import parse_yaml
from .files import beneath, read_names, read_small
from .shapes import Box, Polygons, Shape
from .truth import Annotations, Problems, Size, Truth, TruthImage, TruthObject

_MOST_BYTES = 16 << 20
#: Text files with class names instead of objects.
NAME_FILES = ("classes.txt", "obj.names", "names.txt", "labels.txt")


def read_yolo(path: str) -> Truth:
    """Reads the truth of a folder of YOLO labels, or of `data.yaml`.

    Class names come from there or a list in the folder. Raises `CamxError` if there are no labels or no names.
    """
    folder = os.path.dirname(path) or os.curdir if path.lower().endswith((".yaml", ".yml")) else path
    names = _names(path, folder)
    files = [
        (inside, file)
        for inside, file in beneath(folder, ".txt")
        if os.path.basename(inside).lower() not in NAME_FILES and not inside.lower().startswith("readme")
    ]
    if not files:
        raise CamxError(f"{folder!r} holds no label files (*.txt). Give the folder of the labels, or data.yaml.")
    images = [TruthImage(os.path.splitext(inside)[0], partial(_read, file, names)) for inside, file in files]
    return Truth("yolo", tuple(images), stems=True, problems=Problems())


def _names(path: str, folder: str) -> Mapping[int, str]:
    above = os.path.dirname(os.path.abspath(folder))
    descriptions = (
        [path]
        if path != folder and os.path.isfile(path)
        else [os.path.join(place, f"data.{end}") for place in (folder, above) for end in ("yaml", "yml")]
    )
    for file in descriptions:
        if os.path.isfile(file):
            return _names_in(file)
    for place in (folder, above):
        for name in NAME_FILES:
            listed = read_names(os.path.join(place, name))
            if listed is not None:
                return dict(enumerate(listed))
    raise CamxError(
        f"The classes of the YOLO labels in {folder!r} have no names. "
        "Put data.yaml with `names:`, or classes.txt, beside them."
    )


def _names_in(path: str) -> Mapping[int, str]:
    """The `names` of a data.yaml."""
    try:
        content = parse_yaml(read_small(path, CONFIG_BYTES))
    except ValueError as error:
        raise CamxError(f"{path!r} is no valid YAML: {' '.join(str(error).split())[:200]}. Correct it.") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(isinstance(key, int) for key in names):
        raise CamxError(f"{path!r} has no `names`. Add a list of class names, or a mapping from number to name.")
    if content.get("kpt_shape"):
        raise CamxError(f"{path!r} describes keypoints, not boxes. Give labels of detection or segmentation.")
    return {key: str(name) for key, name in names.items()}


def _read(path: str, names: Mapping[int, str], size: Size, problems: Problems) -> Annotations:
    """Objects of one file in pixels of an upright image of `size`."""
    name, objects = os.path.basename(path), []
    try:
        lines = read_small(path, _MOST_BYTES).decode("utf-8-sig", "replace").splitlines()
    except ValueError as error:
        problems.add(name, "", "unreadable label file", str(error))
        lines = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            objects.append(_object(line, names, size))
        except ValueError as error:
            reason, _, detail = str(error).partition(": ")
            problems.add(name, f"line {number}", reason, detail)
    return Annotations(None, tuple(objects))


def _object(line: str, names: Mapping[int, str], size: Size) -> TruthObject:
    """Reads a line. Raises `ValueError` with `reason: detail`."""
    first, *rest = line.split()
    try:
        numbers = [float(word) for word in rest]
        index = int(first)
    except ValueError:
        raise ValueError(f"no YOLO label: {line[:60]!r}") from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"degenerate box: {line[:60]!r}")
    if index not in names:
        raise ValueError(f"unknown category: {index}")
    return TruthObject(names[index], _shape(numbers, size))


def _shape(numbers: list[float], size: Size) -> Shape:
    if len(numbers) == 5:
        raise ValueError("a confidence follows the box: these are predictions, not truth")
    if len(numbers) == 4:
        x, y, width, height = numbers
        box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return Box(box.left * size[0], box.top * size[1], box.right * size[0], box.bottom * size[1])
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError(f"no YOLO label: {len(numbers)} numbers are neither a box nor a polygon")
    return Polygons((np.array(numbers).reshape(-1, 2) * np.array(size),))
