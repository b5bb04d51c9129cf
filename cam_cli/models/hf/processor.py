"""Converts an image processor of transformers to camx's preprocessing, verified on test images.

There is no table of processors: the normalisation is measured, and resizing and cropping are tried in their few
meanings. One of these must reproduce the numbers of the processor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from ...errors import CamxError, first_line
from ...images.geometry import INTERPOLATIONS, Preprocessing
from ...sentences import counted
from .library import quiet
from .place import HubPlace

FILES = ("preprocessor_config.json", "processor_config.json")
#: The largest difference that counts as equal, in levels of 1/255.
EXACT = 0.05
#: Limits of the mean and of the largest difference, in levels, for processors that resize tensors, not Pillow images.
_CLOSE, _FARTHEST = 1.5, 40.0


@dataclass(frozen=True)
class Prepared:
    """Preprocessing of a network. flipped: channels are blue, green, red.

    levels: largest difference to the processor's numbers, in levels of 1/255; 0 if equal.
    """

    preprocessing: Preprocessing
    flipped: bool = False
    levels: float = 0.0


def read_processor(library: Any, place: HubPlace, channels: int, *, varying: bool = False) -> Prepared | None:
    """Reads the processor of a network with `channels`; None if the folder has none.

    varying: the network takes inputs of several sizes. Raises `CamxError` if camx cannot reproduce the processor.
    """
    if not any(map(place.has, FILES)):
        return None
    try:
        with quiet(library):
            processor = _loaded(library, place.folder)
            return _reproduced(processor, place.name, channels, varying=varying)
    except CamxError:
        raise
    # A processor may raise anything on invalid values.
    except Exception as error:
        raise CamxError(
            f"The image processor of {place.name!r} cannot be used: {first_line(error)}.",
            "Give your own code that prepares the images, `model=my_module.py:build`.",
        ) from error


def _loaded(library: Any, folder: str) -> Any:
    read = library.AutoImageProcessor.from_pretrained
    try:
        return read(folder, backend="pil", trust_remote_code=False, local_files_only=True)
    except ValueError:  # some have a backend of torchvision only
        return read(folder, trust_remote_code=False, local_files_only=True)


def _reproduced(processor: Any, name: str, channels: int, *, varying: bool) -> Prepared:
    run = _Runner(processor, channels)
    shapes = {run(probe).shape for probe in probes((224, 224), channels)}
    if any(len(shape) != 3 for shape in shapes):
        raise _inexact(processor, name, "gives patches or tiles, no image of one frame")
    divided = varying and bool(getattr(processor, "size_divisor", None))
    if len(shapes) != 1 and not divided:
        listed = " and ".join("×".join(map(str, shape)) for shape in sorted(shapes))
        raise _inexact(processor, name, f"gives images of other sizes the shapes {listed}")
    shape = run(Image.new("RGB", (640, 640))).shape if divided else next(iter(shapes))
    if shape[0] != channels:
        raise _inexact(processor, name, f"gives {counted(shape[0], 'channel')}, and the network takes {channels}")
    height, width = shape[1:]
    mean, std, flipped = _normalisation(run, processor)
    images = probes((height, width), channels)
    wanted = [run(image) for image in images]
    best = None
    for candidate in _candidates(processor, (height, width), mean, std):
        pairs = [difference(candidate, flipped, image, own) for image, own in zip(images, wanted)]
        mean_off, most = max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
        if most <= EXACT:
            return Prepared(candidate, flipped)
        if best is None or mean_off < best[0]:
            best = (mean_off, most, candidate)
    if best and best[0] <= _CLOSE and best[1] <= _FARTHEST and getattr(processor, "backend", "") != "pil":
        return Prepared(best[2], flipped, best[1])
    raise _inexact(processor, name, f"differs by {best[0]:.3g} levels on average" if best else "does not resize images")


class _Runner:
    """Runs a processor on an image, and returns float64 C×H×W."""

    def __init__(self, processor: Any, channels: int) -> None:
        self.processor, self.channels = processor, channels

    def __call__(self, image: Image.Image) -> np.ndarray:
        found = self.processor(images=image, return_tensors="np")
        return np.asarray(found["pixel_values"][0], np.float64)

    def one_colour(self, *colour: int) -> np.ndarray:
        """Prepares an image of one colour; returns one value per channel."""
        mode = "L" if self.channels == 1 else "RGB"
        image = Image.new(mode, (640, 640), colour[0] if self.channels == 1 else colour)
        middle = np.moveaxis(self(image), 0, -1)
        colours: np.ndarray = middle[middle.shape[0] // 2, middle.shape[1] // 2]
        return colours


def _normalisation(run: _Runner, processor: Any) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """Measures the normalisation: mean and standard deviation for values in [0, 1], by channel of the image.

    Returns also whether the processor swaps red and blue.
    """
    black, white, red = run.one_colour(0, 0, 0), run.one_colour(255, 255, 255), run.one_colour(255, 0, 0)
    std = 1 / (white - black)
    mean = 0.0 - black * std
    flipped = len(black) == 3 and bool(abs(red[0] - black[0]) < 1e-6 < abs(red[2] - black[2]))
    stated = [_per_channel(getattr(processor, key, None), len(black)) for key in ("image_mean", "image_std")]
    measured = [tuple(float(f"{v:.7g}") for v in (values[::-1] if flipped else values)) for values in (mean, std)]
    # The numbers that the processor states are exact, the measured ones rounded.
    same = all(own is not None and np.allclose(own, found, atol=1e-5) for own, found in zip(stated, measured))
    return (*(stated if same else measured), flipped)


def _per_channel(value: Any, channels: int) -> tuple[float, ...] | None:
    if isinstance(value, (int, float)):
        return (float(value),) * channels
    if isinstance(value, (list, tuple)) and len(value) == channels:
        return tuple(map(float, value))
    return None


def _candidates(
    processor: Any, size: tuple[int, int], mean: tuple[float, ...], std: tuple[float, ...]
) -> Iterator[Preprocessing]:
    """Yields the possible meanings of a processor's `size`, `resize_short`, `crop_pct` and `size_divisor`."""
    names = {int(resampling): word for word, resampling in INTERPOLATIONS.items()}
    how = getattr(processor, "resample", None)
    resampling = names.get(int(getattr(how, "value", how)) if how is not None else 2, "bilinear")
    share = getattr(processor, "crop_pct", None)
    start = Preprocessing(size, size, "center", resampling, mean, std, "down")
    edges: list[tuple[int, int]] = []
    stated = {key: value for key, value in _sides(getattr(processor, "size", None)).items() if isinstance(value, int)}
    if side := stated.get("shortest_edge"):
        edges.append((side, side))
    if isinstance(short := getattr(processor, "resize_short", None), int):
        edges.append((short, short))
    if "height" in stated and "width" in stated:
        edges.append((stated["height"], stated["width"]))
    for edge in edges:
        larger = [edge]
        if isinstance(share, (int, float)) and 0 < share <= 1:
            larger.append((int(edge[0] / share), int(edge[1] / share)))
        larger.append((int(256 / 224 * edge[0]), int(256 / 224 * edge[1])))
        for resize in larger:
            for mode in ("center", "squash"):
                yield replace(start, resize=resize, crop_mode=mode)
    for edge in edges:
        if isinstance(divisor := getattr(processor, "size_divisor", None), int) and divisor > 0:
            yield replace(start, resize=edge, crop_mode="squash", divisor=divisor)


def _sides(size: Any) -> Mapping[str, Any]:
    return {key: getattr(size, key, None) for key in ("shortest_edge", "height", "width")} if size is not None else {}


def probes(size: tuple[int, int], channels: int) -> list[Image.Image]:
    """Returns two images of smooth colours and noise: one wider and larger than the input, one taller and smaller."""
    height, width = size
    images = []
    for seed, (w, h) in enumerate(((2 * width + 11, int(1.4 * height) + 4), (int(0.8 * width) + 1, height + 5))):
        rng = np.random.default_rng(seed)
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(
            (w, h), Image.Resampling.BICUBIC
        )
        noise = rng.integers(-40, 41, (h, w, 3))
        image = Image.fromarray((np.asarray(coarse).astype(int) + noise).clip(0, 255).astype(np.uint8))
        images.append(image.convert("L") if channels == 1 else image)
    return images


def difference(candidate: Preprocessing, flipped: bool, probe: Image.Image, own: np.ndarray) -> tuple[float, float]:
    """Returns the mean and the largest difference, in levels of 1/255; infinite for another shape."""
    pixels = candidate.apply(probe)[0].astype(np.float64)
    std, mean = np.array(candidate.std), np.array(candidate.mean)
    values = np.moveaxis(own, 0, -1)
    if values.shape != pixels.shape:
        return (math.inf, math.inf)
    levels = (values[..., ::-1] if flipped else values) * std * 255 + mean * 255
    off = np.abs(levels - pixels)
    return float(off.mean()), float(off.max())


def _inexact(processor: Any, name: str, why: str) -> CamxError:
    kind = type(processor).__name__
    return CamxError(
        f"The image processor of {name!r}, a {kind}, {why}: camx has no preprocessing that equals it.",
        "Give your own code that prepares the images, `model=my_module.py:build`.",
    )
