"""Reads PASCAL VOC XML: one file per image, with boxes whose pixels count from 1."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from xml.parsers import expat

from ...errors import CamxError
from .files import beneath, read_small
from .shapes import Box
from .truth import Annotations, Problems, Size, Truth, TruthImage, TruthObject, as_read

#: Limits on bytes and nesting: annotations hold a few kilobytes, nested three deep.
_MOST_BYTES, _DEEPEST = 8 << 20, 32


@dataclass
class _Element:
    name: str
    text: str = ""
    children: list[_Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[_Element]:
        return (child for child in self.children if child.name == name)

    def text_at(self, *path: str) -> str:
        """Text of the first element at a path of names; "" if there is none."""
        here: _Element | None = self
        for name in path:
            here = next(here.all(name), None) if here else None
        return here.text.strip() if here else ""


def read_voc(path: str) -> Truth:
    """Reads the truth of a folder of VOC files, or of one file. Each belongs to the image of the same stem.

    If a coordinate is 0 or has a fraction, all pixels count from 0; a note says so. Raises `CamxError` if there is no
    VOC file.
    """
    problems, files = Problems(), list(beneath(path, ".xml"))
    found: list[tuple[str, _Element]] = []
    for inside, file in files:
        try:
            root = parsed(read_small(file, _MOST_BYTES))
        except ValueError as error:
            problems.add(inside, "", "unreadable XML", str(error))
            continue
        if root.name != "annotation":
            problems.add(inside, "", "no VOC annotation", f"its root is <{root.name[:40]}>")
        else:
            found.append((os.path.splitext(inside)[0], root))
    if not found:
        raise CamxError(f"{path!r} holds no VOC annotation among {len(files)} XML files. Give the folder Annotations.")
    images = [(name, _annotations(name, root, problems)) for name, root in found]
    from_one = all(_counted_from_one(one.shape.bounds()) for _, read in images for one in read.objects)
    if from_one:
        images = [(name, _shifted(read)) for name, read in images]
    note = "VOC boxes count pixels from 1, as in PASCAL VOC" if from_one else "VOC boxes count pixels from 0"
    return Truth("voc", tuple(TruthImage(name, as_read(read)) for name, read in images), True, problems, (note,))


def _annotations(name: str, root: _Element, problems: Problems) -> Annotations:
    objects = []
    for number, element in enumerate(root.all("object")):
        edges = [_number(element.text_at("bndbox", edge)) for edge in ("xmin", "ymin", "xmax", "ymax")]
        label = element.text_at("name")
        if any(map(math.isnan, edges)):
            problems.add(name, f"object {number}", "degenerate box", "no number for xmin, ymin, xmax or ymax")
        else:
            difficult = "difficult" if element.text_at("difficult") == "1" else ""
            objects.append(TruthObject(label, Box(*edges), difficult))
    width, height = _number(root.text_at("size", "width")), _number(root.text_at("size", "height"))
    size: Size | None = (int(width), int(height)) if width > 0 and height > 0 else None
    return Annotations(size, tuple(objects))


def _number(text: str) -> float:
    """A finite number, or NaN."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _counted_from_one(box: Box) -> bool:
    return all(edge == int(edge) for edge in box) and box.left >= 1 and box.top >= 1


def _shifted(read: Annotations) -> Annotations:
    """Converts boxes to pixel edges from 0: the first pixel moves by one, the last one is inclusive."""
    return replace(read, objects=tuple(replace(one, shape=_from_zero(one.shape.bounds())) for one in read.objects))


def _from_zero(box: Box) -> Box:
    return Box(box.left - 1, box.top - 1, box.right, box.bottom)


def parsed(data: bytes) -> _Element:
    """Parses an XML document into its root.

    Raises `ValueError` if it is broken, nested too deeply, or has a document type: its entities could expand without
    bounds.
    """
    top = _Element("")
    open_elements = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > _DEEPEST:
            raise ValueError("nested too deeply")
        element = _Element(name)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(name: str) -> None:
        open_elements.pop()

    def text(piece: str) -> None:
        open_elements[-1].text += piece

    def document_type(*about: object) -> None:
        raise ValueError("it has a document type, which annotations do not need")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, document_type
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from error
    return top.children[0]
