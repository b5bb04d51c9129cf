"""Compares the maps of a finished run, method by method: the figures of docs/methods.md on trained networks.

    camx explain PHOTOS … --method gradcam --method eigencam --target top:2 --save array --no-report -o OUT
    python -m benchmarks.map_shapes OUT

The first map of an image and method is that of the first target. For each method: how many of the first maps are blank
(zero, or nowhere positive); over the others, as medians, the mean of the positive part over the peak (1 is a flat map),
the same in the outermost ring of cells over its mean inside, and the correlation with the map of the first method; and
the share of the peaks in that ring. With two targets also the median, least and largest rank correlation of the maps of
both. The last line has the share of the cells in the ring.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cam_cli.outputs.run_folder import RunFolder


class Shape(NamedTuple):
    """Figures of one map: NaN where there is nothing to compare it with."""

    flatness: float
    border: float
    peak_in_ring: bool
    correlation: float
    between_classes: float


class Shapes(NamedTuple):
    """The figures of all maps that are not blank by method, the number of blank maps, and the share of the ring."""

    found: dict[str, list[Shape]]
    blank: dict[str, int]
    ring: float


def ring(height: int, width: int) -> np.ndarray:
    """bool h×w, true in the outermost cells."""
    inside = np.zeros((height, width), bool)
    inside[1:-1, 1:-1] = True
    return ~inside


def correlation(one: np.ndarray, other: np.ndarray | None) -> float:
    """Pearson's correlation of two maps of one size."""
    if other is None or other.shape != one.shape or not one.std() or not other.std():
        return float("nan")
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, from 0; equal values have the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[place].reshape(values.shape)


def shape_of(maps: Sequence[np.ndarray], first: np.ndarray | None) -> Shape:
    """Figures of the raw maps h×w of one image and method, of which the first has a positive peak.

    first: the map of the first method for the same class, if there is one.
    """
    values, edge = maps[0], ring(*maps[0].shape)
    positive = np.maximum(values, 0)
    return Shape(
        float(positive.mean() / positive.max()),
        float(positive[edge].mean() / max(positive[~edge].mean(), 1e-12)),
        bool(edge.flat[int(values.argmax())]),
        correlation(values, first),
        correlation(ranks(values), ranks(maps[1])) if len(maps) > 1 else float("nan"),
    )


def shapes_of(out: Path) -> Shapes:
    """Reads the raw maps of a run with `--save array`."""
    found: dict[str, list[Shape]] = defaultdict(list)
    blank: dict[str, int] = defaultdict(int)
    share = 0.0
    for row in RunFolder.read(str(out)).rows():
        maps: dict[str, list[np.ndarray]] = defaultdict(list)
        for one in row.get("maps", ()):
            maps[one["method"]].append(np.load(out / one["array"]) if "array" in one else np.zeros((1, 1)))
        first = next((values[0] for values in maps.values()), None)
        for method, values in maps.items():
            if not np.isfinite(values[0]).all() or values[0].max() <= 0:
                blank[method] += 1
                continue
            found[method].append(shape_of(values, first))
            share = float(ring(*values[0].shape).mean())
    return Shapes(found, blank, share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    shapes = shapes_of(parser.parse_args().output)
    print("| method | blank | mean / peak | border / inside | peaks in the ring | as the first method | two classes |")
    print("|---|---|---|---|---|---|---|")
    for method, all_of in shapes.found.items():
        flatness, border, ringed, alike, between = np.array(all_of, float).T
        classes = ""
        if np.isfinite(between).any():
            classes = f"{np.nanmedian(between):.2f} ({np.nanmin(between):.2f} to {np.nanmax(between):.2f})"
        cells = [f"{figure:.2f}" for figure in (np.median(flatness), np.median(border), ringed.mean())]
        cells.append(f"{np.nanmedian(alike):.2f}" if np.isfinite(alike).any() else "")
        print(f"| `{method}` | {shapes.blank[method]} | {' | '.join(cells)} | {classes} |")
    print(f"\nshare of the cells in the ring: {shapes.ring:.2f}")


if __name__ == "__main__":
    main()
