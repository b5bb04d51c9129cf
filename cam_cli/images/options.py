"""What can be chosen of reading and resizing pictures: names and limits, without numpy and Pillow."""

from __future__ import annotations

from typing import Literal

CropMode = Literal["center", "squash", "border"]
CROP_MODES: tuple[CropMode, ...] = ("center", "squash", "border")
#: How a picture is resized: the keys of `geometry.INTERPOLATIONS`.
RESAMPLINGS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")

#: How large the picture under an overlay is: a long side in pixels, its own size, or as the network saw it.
CanvasSize = int | Literal["original", "model"]

#: How JPEG files are decoded: as they are, at a smaller scale that is enough, or where the network runs.
DECODINGS = ("exact", "draft", "device")

#: Larger pictures are refused at their header: twice the size at which Pillow suspects a decompression bomb.
MAX_PIXELS = 178_956_970
