"""Draws the coloured files of a finished row on the scale of its run, from its image and arrays. Imports no torch."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, cast

import numpy as np

from ..images.listing import Source
from ..images.picture import Decodable, Fetched, Picture, TooLarge, Unreadable
from ..maps.explanation import ClassMap, Prediction
from .caption_words import caption_of
from .drawing import drawing_of
from .options import Rendering
from .renderer import Rendered
from .result_files import written_file
from .rows import ImageRow, MapRow
from .savers import COLOURED, encoded_files, kinds_of


@dataclass(frozen=True)
class Redrawer:
    """Draws the coloured files of rows. Can be pickled.

    rendering: with the scale of every method. load: decodes an image, as before the network. fine: methods with one
    value per pixel.
    """

    rendering: Rendering
    load: Callable[..., Decodable | Unreadable | TooLarge]
    fine: frozenset[str] = frozenset()

    def __call__(
        self,
        image: Source | Fetched,
        *,
        row: ImageRow,
        arrays: Sequence[bytes | None],
        unreserved: int | None = None,
    ) -> Rendered | Unreadable | TooLarge:
        """Row with the names of its coloured files, and the files. arrays: file of the raw map for each map, or None.

        Returns `Unreadable` if the image cannot be read or an array does not fit its map, and `TooLarge` as `load`.
        """
        picture = self.load(image, unreserved=unreserved)
        if not isinstance(picture, Picture):
            assert not isinstance(picture, tuple) or isinstance(picture, TooLarge)
            return cast(Unreadable | TooLarge, picture)
        files: dict[str, bytes] = {}
        maps = []
        for one, data in zip(row["maps"], arrays):
            values = None if data is None else _values(data, one)
            if data is not None and values is None:
                return Unreadable(picture.source, "the array of its map is damaged; `verify` explains it again")
            maps.append(one if values is None else self._drawn(picture, values, row, one, files))
        known = {**row.get("files", {}), **{name: written_file(data) for name, data in files.items()}}
        return Rendered({**row, "maps": maps, "files": known}, files)

    def _drawn(
        self, picture: Picture, values: np.ndarray, row: ImageRow, one: MapRow, files: dict[str, bytes]
    ) -> MapRow:
        """Row of a map with the names of its coloured files. Adds these to `files`."""
        scale, several = self.rendering.scale_of(one["method"]), len(row["maps"]) > 1
        target = Prediction(one["target_index"], one["target_name"], one.get("target_prob", nan))
        signed, fine = one["sketch"].get("signed", False), one["method"] in self.fine
        class_map = ClassMap(one["method"], one["layer"], target, values, two_sided=signed, fine=fine)
        drawing = drawing_of(picture, class_map, scale)
        if drawing is None or scale is None:
            return one
        drawing = replace(drawing, caption=caption_of(row, one, several=several) if self.rendering.panel else None)
        now: dict[str, Any] = {**one, "colour_scale": scale}
        kinds = [kind for kind in kinds_of(self.rendering) if kind in COLOURED]
        drawn = encoded_files(kinds, drawing, picture.source, one, self.rendering, several=several)
        for kind, (name, data) in drawn.items():
            files[name] = data
            now[kind] = name
        return cast(MapRow, now)


def _values(data: bytes, one: MapRow) -> np.ndarray | None:
    """Raw map h×w in a file; None if it is damaged or does not fit the row of the map."""
    try:
        values: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return None
    return values if [*values.shape] == one["grid"] and values.dtype == np.float32 else None


def without_colours(row: ImageRow) -> ImageRow:
    """Row without the names of its coloured files, which have another scale."""
    maps, gone = [], set[str]()
    for one in row["maps"]:
        fields = cast(dict[str, Any], one)
        gone |= {fields[kind] for kind in COLOURED & fields.keys()}
        left_out = {*COLOURED, "colour_scale"}
        maps.append(cast(MapRow, {name: value for name, value in fields.items() if name not in left_out}))
    files = {name: written for name, written in row.get("files", {}).items() if name not in gone}
    return {**row, "maps": maps, "files": files}
