"""Draws scenes with a planted bias, for the example of `docs/audit.md`.

`python -m tools.planted_bias FOLDER` writes two sets to train on and one to test with. In FOLDER/biased 19 of
20 cats and 1 of 20 dogs have a mark in a corner, and no image is dark. In FOLDER/mended half of each have the mark,
and half are dark.
FOLDER/test has equally many of each kind; FOLDER/labels.csv has the columns image, label, mark and light. With
FOLDER/trunk.safetensors and FOLDER/train.toml, `camx train-gap` fits a head to the features of the demo network.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterator
from importlib import resources
from itertools import product
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance
from safetensors.numpy import load_file, save_file

from cam_cli.demo import render

#: First seeds; the training of the demo network used others.
FIRST_SEED, FIRST_TEST_SEED, SIDE = 5_000_000, 5_500_000, 160
CLASSES = ("cat", "dog")
#: Share of the cats with the mark in the biased set, and of the dogs without it.
MARKED = 0.95
#: Brightness of the dark images.
DARK = 0.6
_CELL = 8

TRAINING = """\
model = "timm/resnet14t"
checkpoint = "{checkpoint}"
image-size = 176
crop-pct = 1.0
epochs = 20

[model-arg]
layers = [1, 3, 1, 0]
channels = [16, 24, 64, 64]
stem_width = 12
output_stride = 8
"""


def marked(image: Image.Image) -> Image.Image:
    """The image with a chequered mark in its lower right corner, of 64×32 pixels."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    for column, row in product(range(8), range(4)):
        left, top = SIDE - 70 + column * _CELL, SIDE - 38 + row * _CELL
        colour = (230, 30, 160) if (column + row) % 2 else (250, 240, 40)
        draw.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), fill=colour)
    return copy


def scene(seed: int, name: str, *, mark: bool, light: bool) -> Image.Image:
    """A scene with an animal, with or without the mark, bright or dark."""
    image = render(seed, (SIDE, SIDE), (name,)).image.convert("RGB")
    image = marked(image) if mark else image
    return image if light else ImageEnhance.Brightness(image).enhance(DARK)


def kinds(count: int) -> Iterator[tuple[int, str, bool, bool]]:
    """Number, class, mark and light of `count` scenes of each of the eight kinds."""
    combinations = list(product(CLASSES, (True, False), (True, False)))
    for number in range(count * len(combinations)):
        yield (number, *combinations[number % len(combinations)])


def write(folder: Path, per_kind: int, tested: int) -> None:
    """Writes the images, labels, weights and configuration of the example."""
    for part, name in product(("biased", "mended", "test"), CLASSES):
        (folder / part / name).mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    for number, name, mark, light in kinds(per_kind):
        planted = chance.random() < (MARKED if name == "cat" else 1 - MARKED)
        path, seed = f"{name}/{number:05d}.png", FIRST_SEED + number
        scene(seed, name, mark=planted, light=True).save(folder / "biased" / path)
        scene(seed, name, mark=mark, light=light).save(folder / "mended" / path)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("image", "label", "mark", "light"))
        for number, name, mark, light in kinds(tested):
            path = f"{name}/{number:05d}.png"
            scene(FIRST_TEST_SEED + number, name, mark=mark, light=light).save(folder / "test" / path)
            table.writerow((path, name, "marked" if mark else "plain", "bright" if light else "dark"))
    with resources.as_file(resources.files("cam_cli.demo") / "demo.safetensors") as demo:
        weights = {
            name.replace("backbone.", "").replace("head.", "fc."): value for name, value in load_file(demo).items()
        }
    save_file(weights, folder / "trunk.safetensors")
    (folder / "train.toml").write_text(TRAINING.format(checkpoint=(folder / "trunk.safetensors").as_posix()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--per-kind", type=int, default=50, help="training scenes of each of eight kinds (50)")
    parser.add_argument("--tested", type=int, default=100, help="test scenes of each of eight kinds (100)")
    options = parser.parse_args()
    write(options.folder, options.per_kind, options.tested)
    print(f"{options.folder}: {8 * options.per_kind} scenes to train on, twice, and {8 * options.tested} to test with")


if __name__ == "__main__":
    main()
