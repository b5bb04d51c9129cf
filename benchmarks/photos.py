"""Writes JPEG files like those of a data set of photos: `python -m benchmarks.photos FOLDER --count 1000`.

Random crops of the sample images with noise: a file is as large as that of a real photo (62 kB for 500×375 at quality
90), and all differ. The same arguments give the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

_SAMPLES = Path(__file__).parents[1] / "sample_images"
#: Standard deviation of the noise in levels.
_NOISE = 6.0


def make(folder: Path, count: int, size: tuple[int, int] = (500, 375)) -> None:
    """Writes `count` photos of `size` (width, height) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = [Image.open(path).convert("RGB") for path in sorted(_SAMPLES.iterdir())]
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = _cut(samples[number % len(samples)], size, random)
        pixels = np.clip(pixels + random.normal(0, _NOISE, (size[1], size[0], 1)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=90)


def _cut(sample: Image.Image, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """A random part of an image, as large as the proportions allow and enlarged to `size`: H×W×3 float."""
    scale = random.uniform(0.6, 1.0) * min(sample.width / size[0], sample.height / size[1])
    width, height = size[0] * scale, size[1] * scale
    left, top = random.uniform(0, sample.width - width), random.uniform(0, sample.height - height)
    part = sample.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))
    return np.asarray(part, np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--size", type=int, nargs=2, default=(500, 375), metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args()
    make(options.folder, options.count, tuple(options.size))


if __name__ == "__main__":
    main()
