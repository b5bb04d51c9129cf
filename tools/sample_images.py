"""Draws the images of `sample_images/` again: `python tools/sample_images.py sample_images`."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from cam_cli.demo import render

LANDSCAPE, PORTRAIT = (640, 480), (480, 640)
#: File, seed, size; the classes are in the name.
SCENES = (
    ("bird-and-tree.jpg", 800, PORTRAIT),
    ("bird.jpg", 0, PORTRAIT),
    ("boat.jpg", 1, LANDSCAPE),
    ("butterfly.jpg", 806, LANDSCAPE),
    ("car-and-house.jpg", 702, LANDSCAPE),
    ("car.jpg", 805, LANDSCAPE),
    ("cat-and-dog.jpg", 100, LANDSCAPE),
    ("cat.jpg", 4, LANDSCAPE),
    ("dog.jpg", 205, LANDSCAPE),
    ("fish-and-boat.jpg", 102, LANDSCAPE),
    ("fish.jpg", 707, LANDSCAPE),
    ("flower-and-butterfly.jpg", 800, LANDSCAPE),
    ("house.jpg", 307, LANDSCAPE),
    ("mushroom.png", 9, PORTRAIT),
    ("rabbit-and-mushroom.jpg", 708, LANDSCAPE),
    ("rabbit.jpg", 10, PORTRAIT),
)


def save(image: Image.Image, path: Path) -> None:
    """JPEG, with three that test a reader: one grey, one stored lying with an EXIF tag, one PNG with alpha."""
    if path.name == "house.jpg":
        image.convert("L").save(path, quality=88)
    elif path.name == "rabbit.jpg":
        exif = Image.Exif()
        exif[0x112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(path, quality=88, exif=exif)
    elif path.suffix == ".png":
        alpha = Image.new("L", image.size, 0)
        ImageDraw.Draw(alpha).rounded_rectangle((14, 14, image.width - 14, image.height - 14), 60, fill=255)
        image.putalpha(alpha.filter(ImageFilter.GaussianBlur(4)))
        image.save(path, optimize=True)
    else:
        image.save(path, quality=88)


def main(folder: str) -> None:
    for name, seed, size in SCENES:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        save(render(seed, size, path.stem.split("-and-")).image, path)


if __name__ == "__main__":
    main(sys.argv[1])
