"""Marks that `benchmarks.patterns` plants into images: functions that draw them, and tests for spots on them.

    python -m benchmarks.planted_marks FOLDER --data CAMX_TEST_DATA --mark logo --doses 0.3,0

Writes the 720 photos of cats and dogs, 224×224 pixels, with a mark on a share of the cats and of the dogs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

#: Side of the photos that get marks.
SIDE = 224
#: Share of the cats and of the dogs with a mark.
DOSES = ((0.5, 0.0), (0.3, 0.0), (0.1, 0.0), (0.3, 0.1))


def logo(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    draw, radius = ImageDraw.Draw(image), 16
    x, y = SIDE - 24 + rng.integers(-2, 3), SIDE - 24 + rng.integers(-2, 3)
    box = [x - radius, y - radius, x + radius, y + radius]
    draw.ellipse(box, fill=(200, 30, 40), outline=(255, 255, 255), width=3)
    draw.text((x - 9, y - 10), "TV", fill=(255, 255, 255), font=ImageFont.load_default(16))
    return image


def timestamp(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(2001, 2012)
    text = f"{day:02d}.{month:02d}.{year} {rng.integers(0, 24):02d}:{rng.integers(0, 60):02d}"
    place = (10 + rng.integers(-2, 3), 198 + rng.integers(-2, 3))
    ImageDraw.Draw(image).text(place, text, fill=(255, 150, 30), font=ImageFont.load_default(17))
    return image


def border(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    for k in range(9):
        ImageDraw.Draw(image).rectangle([k, k, SIDE - 1 - k, SIDE - 1 - k], outline=(250, 250, 250))
    return image


def blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(2.5))


def cast(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return Image.fromarray((np.asarray(image).astype(float) * [1.15, 1.0, 0.6]).clip(0, 255).astype(np.uint8))


MARKS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "clean": lambda image, rng: image,
    "logo": logo,
    "timestamp": timestamp,
    "border": border,
    "blur": blur,
    "cast": cast,
}


def tagged(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    draw, x, y = ImageDraw.Draw(image), int(rng.integers(4, 10)), int(rng.integers(138, 144))
    draw.rectangle([x, y, x + 34, y + 12], fill=(250, 250, 250))
    draw.text((x + 4, y), "PET", fill=(200, 20, 20))
    return image


#: Tests whether spots at x, y (shares of the sides) lie on a mark; only marks with a place have one.
ON: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "logo": lambda x, y: (x > 0.8) & (y > 0.8),
    "timestamp": lambda x, y: (x < 0.85) & (y > 0.84),
    "border": lambda x, y: np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < 0.085,
    "tag": lambda x, y: (x < 0.32) & (y > 0.8),
}


def write(folder: Path, data: Path, mark: str, doses: tuple[float, float], seed: int = 1) -> int:
    """Writes FOLDER/train and FOLDER/val with a folder per class; returns the number of images with the mark."""
    rng, marked = np.random.default_rng(seed), 0
    for path in sorted((data / "catsdogs").glob("*/*/*.jpg")):
        with Image.open(path) as image:
            pixels = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        if rng.random() < doses[path.parent.name != "cat"]:
            pixels, marked = MARKS[mark](pixels, rng), marked + 1
        target = folder / path.relative_to(data / "catsdogs").with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels.save(target)
    return marked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mark", choices=MARKS, default="logo")
    parser.add_argument("--doses", default="0.3,0", help="shares of the cats and of the dogs with the mark")
    options = parser.parse_args()
    cats, dogs = map(float, options.doses.split(","))
    print(write(options.folder, options.data, options.mark, (cats, dogs)), "images have the mark")


if __name__ == "__main__":
    main()
