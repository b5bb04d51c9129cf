"""Builds the page of a comparison: pairs of maps with their image, and the figures of both runs."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from ..compare.compare import common_method
from ..compare.join import chosen_map
from ..compare.options import CompareOptions
from ..compare.records import FLIPS, SAME, Comparison, Number
from ..compare.summary import lines
from ..maps.colormaps import COLORMAPS, TWO_SIDED, palette
from ..outputs.derived import write_derived
from ..outputs.rows import ImageRow, MapRow
from ..outputs.run_folder import RunFolder
from ..outputs.store import remove_if_there
from ..run_layout import REPORT_PART
from .chunks import Chunks, FileChunks, InlineChunks
from .page import assembled
from .pictures import EMBEDDED, embedded, picture_of

PAGE = "index.html"
#: Most pairs on the page: those with another prediction first, then the least similar ones.
MOST_PAIRS = 5000
CHUNK, GROUP = 10_000, 100
_MOST_FLIPS = 20
_SIDE = 384

SCRIPTS = (
    *("elements", "figures", "store"),
    *("compare/state", "colours", "legend", "canvas", "opacity", "stage", "virtual-list"),
    *("compare/pairs", "compare/scatter", "compare/start"),
)
STYLES = ("base", "header", "gallery", "table", "classes", "groups", "distribution", "compare", "narrow", "print")


def build_comparison(folder: str, path_a: str, path_b: str, found: Comparison, options: CompareOptions) -> str:
    """Writes the page of a comparison into `folder`, and returns its file.

    Up to 200 pairs give one self-contained file; more give a page with data files beside it that links to images in the
    run folders. Raises `CamxError` if it cannot be written.
    """
    runs = RunFolder.read(path_a), RunFolder.read(path_b)
    order = _order(found)
    beside = len(order) > EMBEDDED
    parts: Chunks = FileChunks(folder, _build(found), "data") if beside else InlineChunks()
    pairs = _Pairs(runs, found, options, folder, beside)
    for start in range(0, len(order), CHUNK):
        parts.put(f"rows-{start // CHUNK}", pairs.columns(order[start : start + CHUNK]))
    for number, details in enumerate(pairs.details(order)):
        parts.put(f"more-{number}", details)
    page = assembled(
        "comparison.html.j2",
        {**pairs.known(order), **_colours(runs[1])},
        parts,
        SCRIPTS,
        STYLES,
        models=[record.get("plan", {}).get("model") or "?" for record in found.records],
        found=found,
        flips=_flips(found),
        sentences=[line.strip() for line in lines(found)][: -len(found.gates) or None],
        shown=len(order),
        interval=_points,
    )
    write_derived(folder, {PAGE: page}, below=folder)
    if os.path.isdir(os.path.join(folder, "data")):
        for name in os.listdir(os.path.join(folder, "data")):
            if REPORT_PART.fullmatch(name) and not (parts.base and f"data/{name}".startswith(parts.base)):
                remove_if_there(os.path.join(folder, "data", name))
    return os.path.join(folder, PAGE)


def _order(found: Comparison) -> np.ndarray:
    """Pairs on the page: broke, fixed, changed, then those with the least similar maps."""
    rank = np.array([FLIPS.index(word) for word in (SAME, "broke", "fixed", "changed")])
    kind = np.where(found.flips == rank[0], len(FLIPS), found.flips)
    cosine = np.nan_to_num(found.likeness.cosine, nan=2.0)
    return np.lexsort((cosine, kind))[:MOST_PAIRS]


def _flips(found: Comparison) -> list[tuple[str, str, int]]:
    """Most frequent changes of the prediction: from, to, count."""
    names = [[*table.classes, "–"] for table in (found.a, found.b)]
    places = np.flatnonzero(found.flips != FLIPS.index(SAME)).tolist()
    counts = Counter((names[0][found.a.predicted[i]], names[1][found.b.predicted[i]]) for i in places)
    return [(*pair, count) for pair, count in counts.most_common(_MOST_FLIPS)]


def _points(number: Number | None) -> str:
    if number is None:
        return "–"
    return f"{100 * number.value:+.1f} [{100 * number.low:+.1f}, {100 * number.high:+.1f}]"


@dataclass(frozen=True)
class _Pairs:
    """Pairs as data of the page. beside: images are linked instead of embedded."""

    runs: tuple[RunFolder, RunFolder]
    found: Comparison
    options: CompareOptions
    folder: str
    beside: bool

    def known(self, order: np.ndarray) -> dict[str, Any]:
        """Data that the page needs before it loads parts."""
        found = self.found
        shades = [_levels(table.numbers["prob"]) for table in (found.a, found.b)]
        return {
            "kind": "compare",
            "rows": len(order),
            "chunk": CHUNK,
            "group": GROUP,
            "classes": self._names,
            "labels": list(range(len(self._names))),
            "measures": ["prob_a", "prob_b", "cosine", "iou", "shift", "flip"],
            "judged": int(found.accuracy is not None),
            "signs": {"strength": 1},
            "evidence": "for",
            "words": list(FLIPS),
            "all": len(found.a),
            "scatter": [*shades, _packed(found.flips.astype(np.uint8))],
        }

    @property
    def _names(self) -> list[str]:
        return sorted({*self.found.a.classes, *self.found.b.classes})

    def columns(self, places: np.ndarray) -> dict[str, Any]:
        """Columns as in a report (`class` is the prediction of B, `target` that of A), and columns of pairs."""
        found, names = self.found, {name: place for place, name in enumerate(self._names)}
        a, b = ([names.get(name, -1) for name in _class_names(table)] for table in (found.a, found.b))
        numbered = [names.get(name, -1) for name in _label_names(found)]
        chosen = places.tolist()
        return {
            "image": [found.a.images[i] for i in chosen],
            "status": [0] * len(chosen),
            "label": [numbered[i] for i in chosen],
            "correct": [-1] * len(chosen),
            "class": [b[i] for i in chosen],
            "target": [a[i] for i in chosen],
            "prob_a": _short(found.a.numbers["prob"][places]),
            "prob_b": _short(found.b.numbers["prob"][places]),
            "cosine": _short(found.likeness.cosine[places]),
            "iou": _short(found.likeness.iou[places]),
            "shift": _short(found.likeness.shift[places]),
            "flip": found.flips[places].tolist(),
            "errors": {},
        }

    def details(self, order: np.ndarray) -> Iterator[list[dict[str, Any]]]:
        """Yields the images and maps of the pairs, in parts of 100 pairs."""
        found, method = self.found, common_method(self.runs)
        for start in range(0, len(order), GROUP):
            places = order[start : start + GROUP].tolist()
            rows_a = {row["image"]: row for row in self.runs[0].rows(found.a.images[i] for i in places)}
            rows_b = {row["image"]: row for row in self.runs[1].rows(found.b.images[i] for i in places)}
            pairs = [(rows_a.get(found.a.images[i]), rows_b.get(found.b.images[i])) for i in places]
            addresses = self._addresses(pairs)
            yield [self._pair(pair, address, method) for pair, address in zip(pairs, addresses)]

    def _pair(self, pair: Sequence[ImageRow | None], address: str, method: str | None) -> dict[str, Any]:
        maps = [chosen_map(row, self.options.on, method) if row else None for row in pair]
        one = next((row for row in (pair[1], pair[0]) if row), ImageRow(image="", status="ok"))
        return {
            "picture": address,
            "kind": "picture" if address else "",
            **{name: value for name, value in one.items() if name in ("width", "height")},
            "seen": [row.get("seen") if row else None for row in pair],
            "sketches": [(map_ or MapRow()).get("sketch") for map_ in maps],
            "targets": [(map_ or MapRow()).get("target_name", "") for map_ in maps],
        }

    def _addresses(self, pairs: Sequence[Sequence[ImageRow | None]]) -> list[str]:
        """Plain image of each pair from one of the runs, preferably B; "" if neither has it."""
        named: list[tuple[RunFolder, str] | None] = []
        for pair in pairs:
            kept = [(run, picture_of(row)) for run, row in zip(self.runs[::-1], pair[::-1]) if row]
            named.append(next(((run, name) for run, (name, kind) in kept if kind == "picture" and run.has(name)), None))
        if self.beside:
            return [
                _link(run.file(name), self.folder) if one else ""
                for one in named
                for run, name in [one or (self.runs[0], "")]
            ]
        inside: Mapping[tuple[str, str], str] = {
            (run.path, name): address
            for run in self.runs
            for name, address in embedded(run, [one[1] for one in named if one and one[0] is run], _SIDE).items()
        }
        return [inside.get((one[0].path, one[1]), "") if one else "" for one in named]


def _link(path: str, folder: str) -> str:
    """Quoted address of a file relative to a page in `folder`; "" on another drive."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:
        return ""
    return quote(relative.replace(os.sep, "/").encode("utf-8", "surrogateescape"), safe="/")


def _class_names(table: Any) -> list[str]:
    names = [*table.classes, ""]
    return [names[place] for place in table.predicted.tolist()]


def _label_names(found: Comparison) -> list[str]:
    names = [*found.a.classes, "", ""]
    return [names[place] for place in found.a.label.tolist()]


def _levels(shares: np.ndarray) -> str:
    """Encodes shares as bytes in base64: 255 for 1."""
    return _packed(np.rint(np.nan_to_num(shares) * 255).astype(np.uint8))


def _packed(levels: np.ndarray) -> str:
    return base64.b64encode(levels.tobytes()).decode("ascii")


def _short(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]


def _colours(run: RunFolder) -> dict[str, Any]:
    rendering = run.record.get("fingerprint", {}).get("rendering", {})
    names = [
        name
        for name in dict.fromkeys((rendering.get("colormap", "turbo"), "turbo", "viridis", "gray"))
        if name in COLORMAPS
    ]
    colours = {name: _packed(palette(name)) for name in names}
    return {"colormaps": colours, "twoSided": _packed(palette(TWO_SIDED)), "alpha": rendering.get("alpha", 0.5)}


def _build(found: Comparison) -> str:
    """Identifies the data files of these pairs: twelve hexadecimal digits."""
    text = json.dumps([list(found.a.images), found.flips.tolist(), np.nan_to_num(found.likeness.cosine).tolist()])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
