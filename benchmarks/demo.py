"""Measures the demo model on newly rendered scenes: `python benchmarks/demo.py`.

top-1: the highest score is the class of the only object. pointing: the peak of the map of a class, enlarged onto
the image, lies within the exact mask of its object. within 4: at most 4 of 160 pixels beside it. two objects: pointing
for the map of each of two classes. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from PIL import Image, ImageFilter

from cam_cli import Explainer, ExplainOptions, load_model
from cam_cli.cams.engine.targets import Target
from cam_cli.demo import CLASSES, DrawnObject, Scene, render
from cam_cli.maps.explanation import Explanation
from cam_cli.maps.heatmap import normalised, placed


def peak_in_mask(explanation: Explanation, drawn: DrawnObject) -> tuple[bool, bool]:
    """Whether the peak of the class's map lies in the mask, and whether within 4 pixels of it."""
    shown = next(m for m in explanation.maps if m.prediction.index == drawn.index)
    heat = normalised(shown.values)
    if heat is None:
        return False, False
    height, width = drawn.mask.shape
    row, column = np.unravel_index(placed(heat, explanation.picture.frame, width, height).argmax(), (height, width))
    near = np.asarray(Image.fromarray(drawn.mask).convert("L").filter(ImageFilter.MaxFilter(9)))
    return bool(drawn.mask[row, column]), bool(near[row, column])


def explained(explainer: Explainer, scenes: list[Scene]) -> list[Explanation]:
    """Maps of every class of every scene."""
    batches = [scenes[start : start + 50] for start in range(0, len(scenes), 50)]
    return [e for batch in batches for e in explainer([scene.image for scene in batch])]


def share(hits: list[bool]) -> float:
    return round(float(np.mean(hits)), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--scenes", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--method", default="cam")
    options = parser.parse_args()
    every = ExplainOptions(methods=(options.method,), targets=(Target("top", len(CLASSES)),), top_k=2, device="cpu")
    explainer = Explainer(load_model(options.model), every)
    seeds = range(options.seed, options.seed + options.scenes)
    chance = np.random.default_rng(options.seed)
    single = [render(seed, (160, 160), (CLASSES[seed % len(CLASSES)],)) for seed in seeds]
    pairs = [render(seed, (160, 160), tuple(chance.choice(CLASSES, 2, replace=False))) for seed in seeds]
    found, found_pairs = explained(explainer, single), explained(explainer, pairs)
    one = [peak_in_mask(e, scene.objects[0]) for e, scene in zip(found, single)]
    two = [peak_in_mask(e, drawn) for e, scene in zip(found_pairs, pairs) for drawn in scene.objects]
    missed = dict.fromkeys(CLASSES, 0)
    for (inside, _), scene in zip(one, single):
        missed[scene.objects[0].name] += not inside
    print(
        json.dumps(
            {
                "scenes": options.scenes,
                "method": options.method,
                "top1": share([e.ranking[0].index == s.objects[0].index for e, s in zip(found, single)]),
                "pointing": share([inside for inside, _ in one]),
                "pointing_within_4": share([near for _, near in one]),
                "two_objects": share([inside for inside, _ in two]),
                "two_objects_within_4": share([near for _, near in two]),
                "missed_by_class": missed,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
