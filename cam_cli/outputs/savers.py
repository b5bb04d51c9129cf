"""Kinds of files of one map: folder, extension, encoder and name of each, and the choice of a rendering."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..images.listing import Source
from ..maps.heatmap import placed
from ..run_layout import ARRAYS, HEATMAPS, MASKS, OVERLAYS, PANELS, output_name
from .drawing import Drawing, draw_overlay, eight_bit, encode_image
from .options import RUN, Rendering
from .panel import draw_panel
from .rows import MapRow

#: Kinds whose colours show the strength of the evidence, and therefore depend on the scale.
COLOURED = frozenset({"overlay", "heatmap", "panel"})


@dataclass(frozen=True)
class Saver:
    """A kind of file: its folder in OUT, its extension and its encoder."""

    folder: str
    extension: Callable[[Rendering], str]
    encode: Callable[[Drawing, Rendering], bytes]

    def name(self, source: Source, one: MapRow, rendering: Rendering, *, several: bool) -> str:
        """Name in OUT of this file of a map. several: whether the image has more maps."""
        method = one["method"] if "concept" not in one else f"{one['method']}-{one['concept']}"
        # Two boxes may be of one class.
        number = f"box-{one['found']['index']}" if "found" in one else f"{one['target_index']}"
        suffix = f".{method}.{number}" if several else ""
        return output_name(self.folder, source.key, f"{suffix}.{self.extension(rendering)}", apart=source.apart)


def _overlay(drawing: Drawing, rendering: Rendering) -> bytes:
    return encode_image(draw_overlay(drawing, rendering), rendering.format)


def _heatmap(drawing: Drawing, rendering: Rendering) -> bytes:
    height, width = drawing.canvas.shape[:2]
    return encode_image(Image.fromarray(eight_bit(drawing, width, height)), "png")


def _array(drawing: Drawing, rendering: Rendering) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, drawing.raw.astype(np.float32), allow_pickle=False)
    return buffer.getvalue()


def _mask(drawing: Drawing, rendering: Rendering) -> bytes:
    """Mask: 255 where the magnitude of the map reaches the threshold, and 0 elsewhere."""
    height, width = drawing.canvas.shape[:2]
    heat = np.abs(placed(drawing.heat, drawing.frame, width, height))
    strong = heat >= rendering.threshold_of(drawing.method).value * heat.max()
    return encode_image(Image.fromarray((strong * 255).astype(np.uint8)), "png")


def _panel(drawing: Drawing, rendering: Rendering) -> bytes:
    return encode_image(draw_panel(drawing, rendering), rendering.format)


SAVERS: dict[str, Saver] = {
    "overlay": Saver(OVERLAYS, lambda rendering: rendering.format, _overlay),
    "heatmap": Saver(HEATMAPS, lambda rendering: "png", _heatmap),
    "array": Saver(ARRAYS, lambda rendering: "npy", _array),
    "mask": Saver(MASKS, lambda rendering: "png", _mask),
    "panel": Saver(PANELS, lambda rendering: rendering.format, _panel),
}


def kinds_of(rendering: Rendering) -> tuple[str, ...]:
    """Kinds of files of a map: those of `save`, the array if all maps of the run share a scale, and the panel."""
    wanted = {*rendering.save, *(["array"] if rendering.scale == RUN else []), *(["panel"] if rendering.panel else [])}
    return tuple(kind for kind in SAVERS if kind in wanted)


def encoded_files(
    kinds: Iterable[str], drawing: Drawing, source: Source, one: MapRow, rendering: Rendering, *, several: bool
) -> dict[str, tuple[str, bytes]]:
    """Name in OUT and bytes of these kinds of files of a map."""
    return {
        kind: (SAVERS[kind].name(source, one, rendering, several=several), SAVERS[kind].encode(drawing, rendering))
        for kind in kinds
    }
