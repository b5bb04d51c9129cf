"""Measures the pointing of maps of detected boxes: `python -m tools.box_pointing --scenes 40`, minutes of one core.

Drawn scenes that are not in the training data of the small detector (`tools.tiny_detector`). A box counts if its class
is right and its IoU with the object at least 0.5. Prints for each method the share of boxes with the peak on the
object, and in the box, and the share of the heat on the object. Baseline of the first: the middle of the box.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np
import torch

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.tracing.detections import Detections
from cam_cli.images.annotations.shapes import Bitmap
from cam_cli.outputs.drawing import heatmap

from .tiny_detector import SIDE, named, scene

FIRST_SEED = 3_000_000
METHODS = ("gradcam", "gradcam++", "xgradcam", "hirescam", "elementwise", "layercam")


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    alone = torch.zeros(1, dtype=torch.int64), torch.ones(1)
    return float(Detections(torch.tensor([one]), *alone).similarity(Detections(torch.tensor([other]), *alone)))


def measure(scenes: int, methods: tuple[str, ...], threshold: float) -> None:
    """Prints a line per method."""
    explainer = Explainer(named(), ExplainOptions(methods=methods, threshold=threshold, max_boxes=5))
    found: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for number in range(scenes):
        drawn = scene(FIRST_SEED + number, 1 + number % 2)
        (explanation,) = explainer([drawn.image])
        for place, one in enumerate(explanation.maps):
            assert one.found is not None
            left, top, right, bottom = one.found.edges
            for thing in drawn.objects:
                same = thing.index == one.prediction.index and bool(thing.mask.any())
                if not same or overlap(one.found.edges, tuple(Bitmap(thing.mask).bounds())) < 0.5:
                    continue
                if place < len(explanation.maps) // len(methods):
                    middle = int((top + bottom) / 2), int((left + right) / 2)
                    found["middle of the box"].append(
                        (float(thing.mask[min(middle[0], SIDE - 1), middle[1]]), 1, np.nan)
                    )
                if one.values.max() <= 0:
                    found[one.method].append((0, 0, 0))
                    continue
                heat = heatmap(explanation, place)
                y, x = np.unravel_index(heat.argmax(), heat.shape)
                inside = left <= x + 0.5 <= right and top <= y + 0.5 <= bottom
                found[one.method].append(
                    (float(thing.mask[y, x]), float(inside), float(heat[thing.mask].sum() / heat.sum()))
                )
    for name, values in found.items():
        peak, inside, share = np.mean(values, 0)
        print(
            f"{name}: {len(values)} boxes, peak on the object {peak:.2f}, in the box {inside:.2f}, "
            f"heat on the object {share:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    options = parser.parse_args()
    measure(options.scenes, tuple(options.methods), options.threshold)


if __name__ == "__main__":
    main()
