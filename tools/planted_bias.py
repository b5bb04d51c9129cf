"""Draw scenes with a bias planted in them, for the example of `docs/audit.md`.

`python -m tools.planted_bias FOLDER` writes two sets to train on and one to test with. In FOLDER/biased every cat and
no dog has a mark in a corner, and all pictures are bright; in FOLDER/mended half of each has the mark, and half of the
pictures are dark. FOLDER/test has as many of each kind, and `labels.csv` says which: image,label,mark,light.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance

from cam_cli.demo import render

#: Seeds that the training of the demo network has not seen.
FIRST_SEED, SIDE = 5_000_000, 160
CLASSES = ("cat", "dog")
_DARK = 0.3


def marked(picture: Image.Image) -> Image.Image:
    """The picture with the mark of an agency in its lower right corner."""
    copy = picture.copy()
    draw = ImageDraw.Draw(copy)
    draw.rectangle((SIDE - 46, SIDE - 22, SIDE - 6, SIDE - 6), fill=(20, 20, 20))
    for x in range(SIDE - 43, SIDE - 9, 6):
        draw.rectangle((x, SIDE - 19, x + 2, SIDE - 9), fill=(240, 240, 60))
    return copy


def dark(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(_DARK)


def picture(seed: int, name: str, *, mark: bool, light: bool) -> Image.Image:
    """A scene with an animal, with or without the mark, bright or dark."""
    scene = render(seed, (SIDE, SIDE), (name,)).image.convert("RGB")
    scene = marked(scene) if mark else scene
    return scene if light else dark(scene)


def kinds(count: int) -> Iterator[tuple[int, str, bool, bool]]:
    """A seed, a class, whether there is a mark and light: `count` scenes of each of the eight kinds."""
    combinations = list(product(CLASSES, (True, False), (True, False)))
    for number in range(count * len(combinations)):
        yield (number, *combinations[number % len(combinations)])


def write(folder: Path, per_kind: int, tested: int) -> None:
    for name in ("biased", "mended", "test"):
        for one in CLASSES:
            (folder / name / one).mkdir(parents=True, exist_ok=True)
    for number, name, mark, light in kinds(per_kind):
        seed = FIRST_SEED + number
        picture(seed, name, mark=name == "cat", light=True).save(folder / "biased" / name / f"{number:05d}.png")
        picture(seed, name, mark=mark, light=light).save(folder / "mended" / name / f"{number:05d}.png")
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("image", "label", "mark", "light"))
        for number, name, mark, light in kinds(tested):
            path = f"{name}/{number:05d}.png"
            picture(FIRST_SEED + 500_000 + number, name, mark=mark, light=light).save(folder / "test" / path)
            table.writerow((path, name, "marked" if mark else "plain", "bright" if light else "dark"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--per-kind", type=int, default=50, help="training scenes of each of eight kinds (50)")
    parser.add_argument("--tested", type=int, default=50, help="test scenes of each of eight kinds (50)")
    options = parser.parse_args()
    write(options.folder, options.per_kind, options.tested)
    print(
        f"{8 * options.per_kind} scenes to train on, twice, and {8 * options.tested} to test with, in {options.folder}"
    )


if __name__ == "__main__":
    main()
