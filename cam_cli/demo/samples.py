"""Sixteen sample images that the installed package draws: `camx explain demo: --model demo`."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from ..errors import CamxError
from .scene import render

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
#: Number in the name of the cache folder. It changes with the drawings, because cached images are not drawn again.
_EDITION = 1


def draw_samples(folder: Path) -> None:
    """Draws the images into a folder, and creates it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed, size in SCENES:
        path = folder / name
        _save(render(seed, size, path.stem.split("-and-")).image, path)


def sample_folder() -> str:
    """Returns the folder of the user's cache with the images; draws them if they are missing.

    Raises `CamxError` if the folder cannot be written.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(os.environ.get("CAMX_CACHE") or os.path.join(base, "camx"), f"demo-images-{_EDITION}")
    if all(os.path.isfile(os.path.join(folder, name)) for name, _, _ in SCENES):
        return folder
    try:
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        # Whole or not at all, also if two runs begin together.
        with tempfile.TemporaryDirectory(dir=os.path.dirname(folder), prefix="demo-") as temporary:
            images = Path(temporary, "images")
            draw_samples(images)
            with contextlib.suppress(OSError):
                os.rename(images, folder)
            if os.path.isdir(images):
                for image in images.iterdir():
                    shutil.move(str(image), os.path.join(folder, image.name))
    except OSError as error:
        raise CamxError(
            f"The demo images cannot be drawn in {folder!r}: {error.strerror or error}.",
            "Name a folder that can be written in the variable CAMX_CACHE.",
        ) from error
    return folder


def _save(image: Image.Image, path: Path) -> None:
    """Saves as JPEG, but for tests of a reader: one grey, one stored sideways with an EXIF tag, one PNG with alpha."""
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
