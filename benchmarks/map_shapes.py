"""Compares the shapes of maps between the methods of a finished run: the figures of docs/methods.md on a transformer.

    camx explain PHOTOS … --method gradcam --method eigencam --save array --no-report -o OUT
    python -m benchmarks.map_shapes OUT

For each method: how many maps are blank; and over the others, as medians, the mean of the positive part of a map over
its peak (1 is a flat map), its mean in the outermost ring of cells over its mean inside, and the correlation of the raw
map with that of the first method; then the share of the maps whose peak lies in that ring. The last line has the share
of the cells in the ring.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cam_cli.outputs.run_folder import RunFolder


class Shape(NamedTuple):
    """Figures of one map."""

    flatness: float
    border: float
    peak_in_ring: bool
    correlation: float


def ring(height: int, width: int) -> np.ndarray:
    """bool h×w, true in the outermost cells."""
    inside = np.zeros((height, width), bool)
    inside[1:-1, 1:-1] = True
    return ~inside


def shape_of(values: np.ndarray, first: np.ndarray | None) -> Shape:
    """Figures of a raw map h×w with a positive peak. first: the raw map of the first method, if there is one."""
    positive, edge = np.maximum(values, 0), ring(*values.shape)
    related = first is not None and first.shape == values.shape
    return Shape(
        float(positive.mean() / positive.max()),
        float(positive[edge].mean() / max(positive[~edge].mean(), 1e-12)),
        bool(edge.flat[int(values.argmax())]),
        float(np.corrcoef(values.ravel(), first.ravel())[0, 1]) if related and first is not None else float("nan"),
    )


def shapes_of(out: Path) -> tuple[dict[str, list[Shape]], dict[str, int], float]:
    """The figures of all maps by method, the number of blank maps, and the share of the ring among the cells."""
    found: dict[str, list[Shape]] = defaultdict(list)
    blank: dict[str, int] = defaultdict(int)
    first: dict[str, np.ndarray] = {}
    share = 0.0
    for row in RunFolder.read(str(out)).rows():
        for one in row.get("maps", ()):
            values = np.load(out / one["array"]) if "array" in one else np.zeros((1, 1))
            if not np.isfinite(values).all() or values.max() <= 0:
                blank[one["method"]] += 1
                continue
            found[one["method"]].append(shape_of(values, first.setdefault(row["image"], values)))
            share = float(ring(*values.shape).mean())
    return found, blank, share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    found, blank, share = shapes_of(parser.parse_args().output)
    print("| method | blank | mean / peak | border / inside | peak in the ring | correlation with the first |")
    print("|---|---|---|---|---|---|")
    for method, shapes in found.items():
        flatness, border, _, correlation = (np.nanmedian(column) for column in np.array(shapes, float).T)
        peaks = np.mean([one.peak_in_ring for one in shapes])
        print(f"| `{method}` | {blank[method]} | {flatness:.2f} | {border:.2f} | {peaks:.2f} | {correlation:.2f} |")
    print(f"\nshare of the cells in the ring: {share:.2f}")


if __name__ == "__main__":
    main()
