"""Film-like finish of an image: exposure, tint, soft contrast, vignette, grain."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .raster import Field


def finish(rng: np.random.Generator, picture: Field) -> Image.Image:
    """Returns the RGB image of ``picture`` (H×W×3, about 0..255)."""
    height, width = picture.shape[:2]
    y, x = (
        np.linspace(-1, 1, height, dtype=np.float32)[:, None],
        np.linspace(-1, 1, width, dtype=np.float32)[None],
    )
    turn = rng.uniform(0, 2 * np.pi)
    fall = 1 + rng.uniform(0.0, 0.16) * (x * np.cos(turn) + y * np.sin(turn))
    vignette = 1 - rng.uniform(0.02, 0.14) * (x**2 + y**2) * 0.6
    exposure = rng.uniform(0.9, 1.14)
    warmth = rng.normal(0, 0.045)
    tint = np.array([1 + warmth, 1 + rng.normal(0, 0.012), 1 - warmth], dtype=np.float32)
    grey = picture.mean(axis=2, keepdims=True)
    vivid = grey + (picture - grey) * np.float32(rng.uniform(1.02, 1.3))
    value = np.clip(vivid / 255 * tint * (exposure * fall * vignette).astype(np.float32)[..., None], 0, 1.3)
    curve = value + rng.uniform(0.05, 0.3) * (value - 0.5) * value * (1 - value) * 4
    faded = 0.035 + curve * 0.945
    grain = rng.standard_normal((height, width, 1), dtype=np.float32) * rng.uniform(0.004, 0.014)
    shoulder = faded - 0.55 * np.maximum(faded - 0.82, 0)
    return Image.fromarray(np.clip((shoulder + grain) * 255, 0, 255).astype(np.uint8))
