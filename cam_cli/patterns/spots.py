"""Spots of a run as numpy columns, in an order that depends only on the names of the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..audit.image_table import ImageTable, TableBuilder
from ..errors import CamxError, nearest
from ..outputs.rows import ImageRow
from ..outputs.run_folder import RunFolder
from ..outputs.spots import BYTES, SpotsRow, packed_vectors


@dataclass(frozen=True)
class SpotTable:
    """N spots of one method, by image in the order of names, then by strength.

    table: all images. owner: int N, position of the image in the table. target: int N, class of the map as index into
    `table.classes`. x, y: float N, shares of width and height. share: float N, of the map's strongest spot. vectors:
    packed, uint8 N×192. maps: by class, positions of the images with a map of it. indices: index of each class in the
    output of the network. method: method of the maps. damaged: number of images with damaged spots.
    """

    table: ImageTable
    owner: np.ndarray
    target: np.ndarray
    x: np.ndarray
    y: np.ndarray
    share: np.ndarray
    vectors: np.ndarray
    maps: dict[int, np.ndarray]
    indices: dict[int, int]
    method: str
    damaged: int

    def __len__(self) -> int:
        return len(self.owner)


class _Columns:
    """Collects spots, with class indices of the network until all rows are read."""

    def __init__(self) -> None:
        self.owner: list[int] = []
        self.target: list[int] = []
        self.numbers: list[tuple[float, float, float]] = []
        self.vectors: list[np.ndarray] = []
        self.maps: dict[int, list[int]] = {}
        self.names: dict[int, str] = {}

    def add(self, image: int, row: ImageRow, spots: SpotsRow, method: str) -> None:
        for one, found in zip(row.get("maps", ()), spots["maps"]):
            if one.get("method") != method or "target_index" not in one or "concept" in one:
                continue
            target = one["target_index"]
            self.names.setdefault(target, one.get("target_name") or str(target))
            self.maps.setdefault(target, []).append(image)
            if not found["x"]:
                continue
            strongest = abs(found["strength"][0]) or 1.0
            self.vectors.append(packed_vectors(found))
            for x, y, strength in zip(found["x"], found["y"], found["strength"]):
                self.owner.append(image)
                self.target.append(target)
                self.numbers.append((x, y, abs(strength) / strongest))


def read_spots(run: RunFolder) -> SpotTable:
    """Reads the spots and images of a run. Raises `CamxError` for a run without spots or images."""
    builder, columns = TableBuilder(run.record.get("classes", ())), _Columns()
    method, damaged, kept = "", 0, False
    # Sorted by name: the order of input and shards must not matter.
    for image, (row, spots) in enumerate(run.with_spots(run.rows(sorted(run.images)))):
        builder.add(row)
        if spots is None:
            damaged += "spots" in row
            continue
        kept = True
        method = method or next((one["method"] for one in row.get("maps", ()) if "method" in one), "")
        columns.add(image, row, spots, method)
    for target, name in columns.names.items():
        builder.names.setdefault(target, name)
    table = builder.table()
    if not len(table):
        raise CamxError(
            f"The run in {run.path!r} has no images.", "Explain images into it first, or give another folder."
        )
    if not kept:
        raise CamxError(
            f"The run in {run.path!r} has no spots.",
            "Explain its images with `camx explain … --save overlay,spots`.",
        )
    places = {index: place for place, index in enumerate(sorted(builder.names))}
    numbers = np.array(columns.numbers, np.float32).reshape(-1, 3)
    return SpotTable(
        table=table,
        owner=np.array(columns.owner, np.int64),
        target=np.array([places[target] for target in columns.target], np.int64),
        x=numbers[:, 0],
        y=numbers[:, 1],
        share=numbers[:, 2],
        vectors=np.concatenate(columns.vectors) if columns.vectors else np.zeros((0, BYTES), np.uint8),
        indices={place: index for index, place in places.items()},
        maps={places[target]: np.unique(images) for target, images in sorted(columns.maps.items())},
        method=method,
        damaged=damaged,
    )


def chosen_classes(spots: SpotTable, wanted: Sequence[str]) -> Iterator[int]:
    """Classes with maps, or the requested ones. Raises `CamxError` for a class without maps."""
    classes, here = spots.table.classes, list(spots.maps)
    if not wanted:
        yield from here
    for text in wanted:
        found = [place for place in here if text in (classes[place], str(place))]
        if not found:
            names = [classes[place] for place in here]
            raise CamxError(
                f"`class` {text!r}: no map shows such a class.{nearest(text, names) or ''}",
                "Give a class with maps in the run, by name or index.",
                field="classes",
            )
        yield found[0]
