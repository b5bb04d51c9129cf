"""Pairs the images of two runs: the same file, explained twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..audit.image_table import ImageTable, image_table
from ..errors import CamxError
from ..outputs.rows import ImageRow, MapRow, Sketch
from ..outputs.run_folder import RunFolder

PREDICTION, LABEL, TARGET = "prediction", "label", "target:"


@dataclass
class Side:
    """One run: columns of its images, and further data of each image for a comparison."""

    table: ImageTable
    labels: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    sketches: list[Sketch | None] = field(default_factory=list)
    borders: list[float] = field(default_factory=list)
    methods: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class Pairs:
    """Pairs of images. a, b: their positions in the tables of A and B, in the order of A. by_content: paired by file
    content, because no name is in both. left_out: number of images by reason."""

    a: np.ndarray
    b: np.ndarray
    by_content: bool
    left_out: dict[str, int]


def read_side(run: RunFolder, on: str, method: str | None) -> Side:
    """Reads a run with the map to compare for each image. method: method of that map; None for any."""
    side = Side(image_table([]))

    def noted() -> Iterator[ImageRow]:
        for row in run.rows():
            _note(side, row, on, method)
            yield row

    side.table = image_table(noted(), run.record.get("classes", ()))
    return side


def _note(side: Side, row: ImageRow, on: str, method: str | None) -> None:
    shown = chosen_map(row, on, method) or MapRow()
    side.labels.append("|".join(sorted(row.get("labels", ()))) or row.get("label", ""))
    side.sizes.append(row.get("bytes", -1))
    side.digests.append(row.get("sha256", ""))
    side.sketches.append(shown.get("sketch"))
    border = shown.get("border")
    side.borders.append(float("nan") if border is None else border)
    if shown:
        side.methods.add((shown.get("method", ""), shown.get("layer", "")))


def chosen_map(row: ImageRow, on: str, method: str | None) -> MapRow | None:
    """Map of the requested class."""
    maps = [one for one in row.get("maps", ()) if method is None or one.get("method") == method]
    if on == PREDICTION:
        best = next(iter(row.get("top", ())), None)
        return next((one for one in maps if best and one.get("target_index") == best["index"]), None)
    if on == LABEL:
        return next((one for one in maps if one.get("target_index") == row.get("label_index", -1)), None)
    wanted = on.removeprefix(TARGET).strip().casefold()
    names = ({str(one.get("target_index")), str(one.get("target_name", "")).casefold()} for one in maps)
    return next((one for one, known in zip(maps, names) if wanted in known), None)


def join(a: Side, b: Side) -> Pairs:
    """Pairs images of the same name and file; if the runs share no name, images of the same content.

    Raises `CamxError` if there is no pair.
    """
    names_a, names_b = a.table.images, b.table.images
    pairs, by_content = _matched(names_a, names_b), False
    if not pairs:
        pairs, by_content = _matched(a.digests, b.digests), True
    if not pairs:
        raise CamxError(
            f"The two runs have no image in common: A has {_example(names_a)}, B has {_example(names_b)}. "
            "Names are relative to the explained folder: explain the same SOURCES in both runs."
        )
    places = np.array(pairs, int).T
    left_out = {"only in A": len(names_a) - len(pairs), "only in B": len(names_b) - len(pairs)}
    kept = np.ones(len(pairs), bool)
    for why, out in (
        ("failed in A", a.table.failed[places[0]]),
        ("failed in B", b.table.failed[places[1]]),
        ("changed on disk between the runs", np.array([_changed(a, b, *pair) for pair in pairs])),
    ):
        left_out[why] = int((kept & out).sum())
        kept &= ~out
    left_out = {why: count for why, count in left_out.items() if count}
    if not kept.any():
        reasons = ", ".join(f"{count:,} {why}" for why, count in left_out.items())
        raise CamxError(f"No image can be compared: {reasons}. Explain the same SOURCES in both runs.")
    return Pairs(places[0][kept], places[1][kept], by_content, left_out)


def _matched(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int]]:
    """Positions of equal texts, in the order of the first ones. Empty and repeated texts match nothing."""
    counts = Counter(first), Counter(second)
    places = {text: place for place, text in enumerate(second) if text and counts[1][text] == 1}
    return [(place, places[text]) for place, text in enumerate(first) if text in places and counts[0][text] == 1]


def _changed(a: Side, b: Side, place_a: int, place_b: int) -> bool:
    """Whether a file changed between the runs, by content if both runs know it, else by size."""
    digests, sizes = (a.digests[place_a], b.digests[place_b]), (a.sizes[place_a], b.sizes[place_b])
    if all(digests):
        return digests[0] != digests[1]
    return min(sizes) >= 0 and sizes[0] != sizes[1]


def _example(images: Sequence[str]) -> str:
    return repr(images[0]) if images else "no images"
