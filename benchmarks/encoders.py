"""Measures encoders, milliseconds of a core and kilobytes per overlay of 500×375: `python -m benchmarks.encoders`.

Leaves out encoders that are not installed. Overlays are of photos (`benchmarks.photos`); prints the least processor
time of all rounds.
"""

from __future__ import annotations

import importlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cam_cli.images.geometry import Preprocessing
from cam_cli.images.listing import find
from cam_cli.images.picture import Picture, load
from cam_cli.maps.explanation import ClassMap, Prediction
from cam_cli.outputs.drawing import draw_overlay, drawing_of, encode_image
from cam_cli.outputs.options import Rendering

from .photos import make

_IMAGES, _ROUNDS, _QUALITY = 24, 7, 90
_BEST = Prediction(0, "class", 0.5)

Encoder = Callable[[Image.Image], Any]


def overlays() -> list[Image.Image]:
    preprocessing = Preprocessing((224, 224), (256, 256), "center", "bicubic", (0.5,) * 3, (0.5,) * 3)
    random = np.random.default_rng(0)
    drawn = []
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), _IMAGES)
        for source in find([folder]).sources:
            picture = load(source, preprocessing)
            assert isinstance(picture, Picture)
            values = random.normal(size=(7, 7)).astype(np.float32)
            drawing = drawing_of(picture, ClassMap("gradcam", "layer", _BEST, values))
            assert drawing is not None
            drawn.append(draw_overlay(drawing, Rendering()))
    return drawn


def pillow(image_format: str, **options: Any) -> Encoder:
    def encode(image: Image.Image) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, image_format, **options)
        return buffer.getvalue()

    return encode


def encoders() -> dict[str, Encoder]:
    found: dict[str, Encoder] = {
        "png, as camx": lambda image: encode_image(image, "png"),
        "png, Pillow, level 1": pillow("PNG", compress_level=1),
        "jpg, as camx": lambda image: encode_image(image, "jpg"),
        "jpg, Pillow, optimize": pillow("JPEG", quality=_QUALITY, optimize=True),
        "jpg, Pillow, 4:4:4": pillow("JPEG", quality=_QUALITY, subsampling=0),
    }
    if fpng := _installed("fpng_py"):
        found["png, fpng"] = lambda image: fpng.fpng_encode_image_to_memory(image.tobytes(), *image.size, 3, 0)
    if simplejpeg := _installed("simplejpeg"):
        found["jpg, simplejpeg"] = lambda image: simplejpeg.encode_jpeg(
            np.asarray(image), quality=_QUALITY, colorsubsampling="420"
        )
    if cv2 := _installed("cv2"):
        options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        found["jpg, OpenCV"] = lambda image: cv2.imencode(".jpg", np.asarray(image)[..., ::-1], options)[1]
    return found


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def main() -> None:
    images = overlays()
    for name, encode in encoders().items():
        times = []
        for _ in range(_ROUNDS):
            began = time.process_time()
            sizes = [len(encode(image)) for image in images]
            times.append((time.process_time() - began) / len(images))
        print(f"{name}: {min(times) * 1000:.2f} ms, {sum(sizes) / len(sizes) / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
