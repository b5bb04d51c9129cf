"""Draws scenes of one or two objects with exact masks: images, and their truth as COCO.

`python tools/truth_scenes.py scenes --count 100` writes `scenes/images/*.png` and `scenes/truth.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from cam_cli.demo import CLASSES, render
from cam_cli.images.annotations.run_lengths import encoded
from cam_cli.images.annotations.shapes import Bitmap

#: First seed; the training of the demo network used others.
FIRST_SEED, SIDE = 3_000_000, 160


def write_scenes(folder: Path, count: int) -> int:
    """Writes scenes of one and two objects in turn. Returns the number of visible objects."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(CLASSES)]
    content: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": categories}
    for number in range(count):
        names = tuple(rng.choice(CLASSES, 1 + number % 2, replace=False))
        scene = render(FIRST_SEED + number, (SIDE, SIDE), names)
        scene.image.save(folder / "images" / f"{number:04d}.png")
        content["images"].append({"id": number, "file_name": f"{number:04d}.png", "width": SIDE, "height": SIDE})
        for drawn in scene.objects:
            if drawn.mask.any():
                content["annotations"].append(_annotation(len(content["annotations"]), number, drawn.index, drawn.mask))
    (folder / "truth.json").write_text(json.dumps(content))
    return len(content["annotations"])


def _annotation(number: int, image: int, category: int, mask: np.ndarray) -> dict[str, Any]:
    left, top, right, bottom = Bitmap(mask).bounds()
    return {
        "id": number,
        "image_id": image,
        "category_id": category + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()),
        "segmentation": {"size": [SIDE, SIDE], "counts": encoded(mask)},
        "iscrowd": 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    print(f"{write_scenes(options.folder, options.count)} objects in {options.count} scenes in {options.folder}")


if __name__ == "__main__":
    main()
