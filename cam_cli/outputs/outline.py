"""Draws the outline of a predicted mask, or of a detector's box, over an overlay."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..images.geometry import Frame
from ..maps.heatmap import pixels_inside

#: Colours of the line and of its outer edge: one of them is visible on any background.
_LINE, _EDGE = (255, 255, 255), (0, 0, 0)


def placed_mask(mask: np.ndarray, frame: Frame, width: int, height: int) -> np.ndarray:
    """Resizes a mask h×w over `frame` to the pixels of the image that lie in the frame: bool, nearest cell.

    width, height: of the image. frame: in pixels of the image.
    """
    rows, columns = pixels_inside(frame, width, height)
    down = (np.arange(rows.start, rows.stop) + 0.5 - frame.top) * mask.shape[0] / (frame.bottom - frame.top)
    across = (np.arange(columns.start, columns.stop) + 0.5 - frame.left) * mask.shape[1] / (frame.right - frame.left)
    inside = np.clip(down.astype(int), 0, mask.shape[0] - 1), np.clip(across.astype(int), 0, mask.shape[1] - 1)
    found: np.ndarray = mask[np.ix_(*inside)] > 0
    return found


def boxed(box: Frame, width: int, height: int) -> np.ndarray:
    """Mask of a box: bool height×width, at least one pixel. box: in pixels of the image."""
    mask = np.zeros((height, width), bool)
    left, top = min(max(round(box.left), 0), width - 1), min(max(round(box.top), 0), height - 1)
    mask[top : max(top + 1, round(box.bottom)), left : max(left + 1, round(box.right))] = True
    return mask


def outlined(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """Copy of an image H×W with the outline of a mask, bool H×W: a white line inside, a black one around it."""
    pixels = np.array(image)
    inner, outer = mask & ~_all_around(mask), ~mask & ~_all_around(~mask)
    pixels[outer], pixels[inner] = _EDGE, _LINE
    return Image.fromarray(pixels)


def _all_around(mask: np.ndarray) -> np.ndarray:
    """Pixels whose four neighbours are in a mask. Pixels beyond the edge of the image count as in the mask."""
    padded = np.pad(mask, 1, constant_values=True)
    found: np.ndarray = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return found
