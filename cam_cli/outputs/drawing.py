"""Draws one map over its image: the overlay, and the heatmap at the size of the image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..errors import CamxError
from ..images.geometry import Frame
from ..images.picture import Picture
from ..maps.colormaps import TWO_SIDED, palette
from ..maps.heatmap import UNSEEN, normalised, pixels_inside, placed
from ..sentences import counted
from .marks import mark
from .options import HEAT, Rendering
from .outline import boxed, outlined, placed_mask
from .png import encode_png

if TYPE_CHECKING:
    from ..maps.explanation import ClassMap, Explanation
    from .caption_words import Caption

#: Dimming of the part outside the frame, as a table of levels for three channels.
_DIMMED = [round(level * UNSEEN) for level in range(256)] * 3

#: Longest side in pixels of a thumbnail with higher JPEG quality.
_TINY = 128


@dataclass(frozen=True)
class Drawing:
    """One map with everything that its files are drawn from.

    canvas: the image, uint8 H×W×3. heat: h×w in [0, 1]; in [−1, 1] if `two_sided`. raw: the raw map h×w. frame: the
    rectangle of the canvas that the map covers, in pixels. overlay: uint8 H×W×3 if a device has drawn it; the canvas
    may then be smaller or empty. image: the canvas as an image of Pillow, if there is one. outline: uint8 h×w over the
    frame, 1 where a segmentation predicts the class. on_scale: heat for the colours, if one scale applies to all maps.
    caption: words of a panel. found: box of a detector, in pixels of the canvas.
    """

    canvas: np.ndarray
    heat: np.ndarray
    raw: np.ndarray
    frame: Frame
    two_sided: bool = False
    overlay: np.ndarray | None = None
    image: Image.Image | None = None
    method: str = ""
    outline: np.ndarray | None = None
    on_scale: np.ndarray | None = None
    caption: Caption | None = None
    found: Frame | None = None


def drawing_of(picture: Picture, class_map: ClassMap, scale: float | None = None) -> Drawing | None:
    """Drawing of a map over its image; None for a blank map.

    scale: the raw value that has the strongest colour; None for the peak of the map.
    """
    heat = normalised(class_map.values, two_sided=class_map.two_sided, fine=class_map.fine, scale=class_map.scale)
    if heat is None:
        return None
    height, width = picture.canvas.shape[:2]
    frame = picture.frame_on(width, height)
    image = picture.image if class_map.overlay is None else None
    return Drawing(
        picture.canvas,
        heat,
        class_map.values,
        frame,
        class_map.two_sided,
        class_map.overlay,
        image,
        class_map.method,
        class_map.outline,
        None if scale is None else normalised(class_map.values, two_sided=class_map.two_sided, scale=scale),
        found=_on_canvas(class_map, picture),
    )


def _on_canvas(class_map: ClassMap, picture: Picture) -> Frame | None:
    height, width = picture.canvas.shape[:2]
    if class_map.found is None:
        return None
    return Frame(*class_map.found.edges).scaled(width / picture.width, height / picture.height)


def draw_overlay(drawing: Drawing, rendering: Rendering) -> Image.Image:
    """Draws the image, coloured by the heat inside the frame and dimmed outside."""
    if drawing.overlay is not None:
        return Image.fromarray(drawing.overlay)
    height, width = drawing.canvas.shape[:2]
    rows, columns = pixels_inside(drawing.frame, width, height)
    picture = drawing.image or Image.fromarray(drawing.canvas)
    box = (columns.start, rows.start, columns.stop, rows.stop)
    levels = eight_bit(drawing, width, height, inside_only=True)
    heat = Image.fromarray(levels, "P")
    heat.putpalette(palette(TWO_SIDED if drawing.two_sided else rendering.colormap).tobytes())
    if drawing.two_sided:
        coloured = _two_coloured(picture.crop(box), heat, levels, rendering)
    elif rendering.opacity == HEAT or rendering.min_heat:
        coloured = Image.composite(heat.convert("RGB"), picture.crop(box), _opacity(levels, rendering))
    else:
        coloured = Image.blend(picture.crop(box), heat.convert("RGB"), rendering.alpha)
    if drawing.outline is not None:
        coloured = outlined(coloured, placed_mask(drawing.outline, drawing.frame, width, height))
    drawn = coloured if box == (0, 0, width, height) else _dimmed_around(picture, coloured, box)
    if drawing.found is not None:
        drawn = outlined(drawn, boxed(drawing.found, width, height))
    if rendering.draw:
        threshold = rendering.threshold_of(drawing.method).value
        mark(drawn, drawing.heat, drawing.frame, threshold, rendering.draw)
    return drawn


def _dimmed_around(picture: Image.Image, coloured: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Dims the image, and pastes the coloured part in its place."""
    # In one call instead of four strips: each call processes the whole table in Python.
    drawn = picture.point(_DIMMED)
    drawn.paste(coloured, box)
    return drawn


def _opacity(levels: np.ndarray, rendering: Rendering) -> Image.Image:
    """Opacity mask for levels 0 to 255 of the heat, as a grey image of Pillow."""
    shares = np.arange(256) / 255
    grown = rendering.alpha * (shares if rendering.opacity == HEAT else np.ones(256))
    table = np.rint(255 * np.where(shares >= rendering.min_heat, grown, 0)).astype(np.uint8)
    return Image.fromarray(table[levels])


def _two_coloured(picture: Image.Image, heat: Image.Image, levels: np.ndarray, rendering: Rendering) -> Image.Image:
    """Puts the colours of the heat over the grey image, with an opacity that grows with the magnitude."""
    away = np.abs(levels.astype(np.float32) - 128)
    strength = np.clip(away * (3 * rendering.alpha), 0, 255)
    strength[away < 127 * rendering.min_heat] = 0
    grey = picture.convert("L").convert("RGB")
    return Image.composite(heat.convert("RGB"), grey, Image.fromarray(strength.astype(np.uint8)))


def encode_image(image: Image.Image, image_format: str) -> bytes:
    """Encodes PNG (fast rather than small), or JPEG or WebP at quality 90."""
    if image_format == "png":
        return encode_png(image)
    buffer = io.BytesIO()
    image.save(buffer, _PIL_NAMES[image_format], **_PIL_OPTIONS[image_format])
    return buffer.getvalue()


def encode_thumbnail(picture: Image.Image, side: int) -> bytes:
    """Encodes an image as a JPEG with a long side of at most `side` pixels.

    A tiny one gets a higher quality, because the report enlarges it and would show JPEG's blocks.
    """
    image = picture.copy()
    image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=1.0)
    buffer = io.BytesIO()
    if max(image.size) <= _TINY:
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def eight_bit(drawing: Drawing, width: int, height: int, *, inside_only: bool = False) -> np.ndarray:
    """Heat at the size of the canvas as levels 0 to 255. For a two-sided map, level 1 means −1 and 128 means 0.

    inside_only: leaves out the part outside the frame.
    """
    coloured = drawing.heat if drawing.on_scale is None else drawing.on_scale
    heat = placed(coloured, drawing.frame, width, height, inside_only=inside_only)
    levels: np.ndarray = np.rint(heat * 127 + 128 if drawing.two_sided else heat * 255)
    return levels.astype(np.uint8)


_PIL_NAMES = {"jpg": "JPEG", "webp": "WEBP"}
_PIL_OPTIONS = {
    "jpg": {"quality": 90},
    "webp": {"quality": 90, "method": 2},
}


def overlay(explanation: Explanation, number: int = 0, rendering: Rendering = Rendering()) -> Image.Image:
    """Draws map `number` of an explanation over its image, as `camx explain` does, at the full size of the image.

    Raises `CamxError` for a blank map, and for a number without a map.
    """
    if not isinstance(rendering, Rendering):
        raise CamxError(f"{type(rendering).__name__} is given as the rendering.", "Give Rendering(…).")
    return draw_overlay(_drawing(explanation, number, rendering.given_scale), rendering)


def heatmap(explanation: Explanation, number: int = 0) -> np.ndarray:
    """Map `number` of an explanation at the full size of the upright image: float32 H×W in [0, 1], 1 at its peak.

    It is 0 outside the part of the image that the network saw. With `evidence="both"` it is in [−1, 1]. Raises
    `CamxError` as `overlay` does.
    """
    drawing, picture = _drawing(explanation, number), explanation.picture
    return placed(drawing.heat, picture.frame_on(picture.width, picture.height), picture.width, picture.height)


def _drawing(explanation: Explanation, number: int, scale: float | None = None) -> Drawing:
    if not hasattr(explanation, "maps"):
        raise CamxError(
            f"{type(explanation).__name__} is given as the explanation.", "Give one that an Explainer returned."
        )
    if explanation.problem:
        raise CamxError(f"Nothing to show: {explanation.problem}.")
    if not isinstance(number, int) or not 0 <= number < len(explanation.maps):
        raise CamxError(
            f"There is no map {number}: the explanation has {counted(len(explanation.maps), 'map')}, numbered from 0."
        )
    drawing = drawing_of(explanation.picture, explanation.maps[number], scale)
    if drawing is None:
        raise CamxError("Nothing to show: the map is zero or not finite.")
    return drawing
