"""Pairs each map with the truth of its class, and reports what cannot be scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..images.annotations.truth import Problems, TruthImage, TruthObject
from ..images.annotations.upright import upright
from ..images.orientation import Orientation
from ..outputs.rows import ImageRow
from .journal import ImageRecord, MapRecord, image_record
from .names import ClassMatcher
from .raster import TruthRaster, truth_raster

#: `own`: the map shows the class of the truth. `other`: it shows the predicted class, a different one.
Which = Literal["own", "other"]


@dataclass(frozen=True)
class Case:
    """A map and the truth of one class in its image. name: that class, "" if the truth names none. alone: whether the
    image has no other class."""

    record: ImageRecord
    map: MapRecord
    name: str
    which: Which
    alone: bool
    truth: TruthRaster


@dataclass(frozen=True)
class Ground:
    """Truth of the images of a run. classes: of the network, empty if unknown. orientation: reads the EXIF orientation
    of an image, called only if it matters."""

    images: Mapping[str, TruthImage]
    matcher: ClassMatcher
    classes: tuple[str, ...]
    orientation: Callable[[str], Orientation | None]
    problems: Problems

    def with_problems(self, problems: Problems) -> Ground:
        """This truth with another collector of problems, for a second pass over the rows."""
        return replace(self, problems=problems)


def cases(rows: Iterable[ImageRow], ground: Ground) -> Iterator[Case]:
    """Cases of all rows in input order. Maps and objects that cannot be scored become problems."""
    for row in rows:
        image = row["image"]
        truth = ground.images.get(image)
        record = image_record(row)
        if record is None:
            ground.problems.add(image, "", "the image was not explained", str(row.get("error", "")))
        elif truth is None:
            ground.problems.add(image, "", "image without truth")
        else:
            yield from _of_image(record, truth, ground)


def _of_image(record: ImageRecord, truth: TruthImage, ground: Ground) -> Iterator[Case]:
    annotations = truth.read(record.size, ground.problems)
    objects = upright(annotations, record.image, record.size, lambda: ground.orientation(record.image), ground.problems)
    if objects is None:
        return
    by_name: defaultdict[str, list[TruthObject]] = defaultdict(list)
    for one in objects:
        if not one.ignored:
            by_name[one.name].append(one)
    if not by_name:
        ground.problems.add(record.image, "", "no object to find")
        return
    ignored = [one for one in objects if one.ignored]
    rasters = {name: truth_raster(some, ignored, record.size) for name, some in by_name.items()}
    for name, raster in list(rasters.items()):
        if name and ground.classes and not _known(name, ground):
            ground.problems.add(record.image, name, "unknown class")
            del rasters[name]
        elif raster.inside.sum() <= 0:
            ground.problems.add(record.image, name, "too small for the raster")
            del rasters[name]
    for method in dict.fromkeys(one.method for one in record.maps):
        maps = [one for one in record.maps if one.method == method]
        for found in _paired(record, maps, rasters, ground):
            if found.map.cells is None:
                ground.problems.add(record.image, f"{method} {found.map.name}", "blank map")
            else:
                yield found


def _paired(
    record: ImageRecord, maps: Sequence[MapRecord], rasters: Mapping[str, TruthRaster], ground: Ground
) -> Iterator[Case]:
    """Pairs each class with its map. If no class has one, pairs all with the map of the predicted class."""
    own = {name: _own(record, maps, name, ground.matcher) for name in rasters}
    if any(own.values()):
        for name, one in own.items():
            if one is None:
                ground.problems.add(record.image, f"{maps[0].method} {name}", "no map of this class")
            else:
                yield Case(record, one, name, "own", len(rasters) == 1, rasters[name])
        return
    shown = next((one for one in maps if one.index == record.predicted), maps[0])
    for name, raster in rasters.items():
        yield Case(record, shown, name, "other", len(rasters) == 1, raster)


def _known(name: str, ground: Ground) -> bool:
    return any(ground.matcher.same(name, index, other) for index, other in enumerate(ground.classes))


def _own(record: ImageRecord, maps: Sequence[MapRecord], name: str, matcher: ClassMatcher) -> MapRecord | None:
    """Map of a class. For a truth without a name: the map of the image's label, else the first one."""
    if name:
        return next((one for one in maps if matcher.same(name, one.index, one.name)), None)
    if record.label_index is not None:
        return next((one for one in maps if one.index == record.label_index), None)
    if record.label:
        return next((one for one in maps if matcher.same(record.label, one.index, one.name)), None)
    return maps[0]
