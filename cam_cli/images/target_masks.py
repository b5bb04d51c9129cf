"""Masks of the pixels for which a segmentation is explained: found by name, read, and cut like the image."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import CamxError, UnreadableImage, first_line
from ..regular_files import read_regular
from .annotations.files import beneath
from .annotations.mask_files import VOID, opened_mask, single_channel
from .annotations.matching import match_truths
from .annotations.shapes import Bitmap
from .annotations.truth import Annotations, Problems, Size, TruthImage
from .decode import MAX_BYTES
from .geometry import Preprocessing
from .listing import Inputs
from .mask_options import CLASSES
from .orientation import Orientation

#: Values of a mask other than indices of classes: the pixel counts for no class, or for every class.
NO_CLASS, EVERY_CLASS = -1, -2


@dataclass(frozen=True)
class MaskReading:
    """Reads masks of a folder. levels: their meaning (`MaskOptions`). count: classes of the network."""

    folder: str
    levels: str
    count: int = 0

    def read(self, path: str, size: Size, orientation: Orientation, preprocessing: Preprocessing) -> np.ndarray:
        """Returns the mask of an image of an upright `size`, cut like the network's input: int16 h×w.

        Values are class indices, `NO_CLASS` and `EVERY_CLASS`. A mask of the stored pixels is turned by `orientation`.
        Raises `UnreadableImage`.
        """
        if not path:
            raise UnreadableImage(f"no mask in {self.folder!r} has its name")
        name = os.path.basename(path)
        stored = self._upright(_levels(path, name), name, size, orientation)
        shifted = (stored != 0) if self.levels != CLASSES else np.where(stored == VOID, 0, stored + 1)
        # One channel without a mean, so padding gets 0, no class.
        placing = replace(preprocessing, interpolation="nearest", mean=(0.0,), std=(1.0,))
        pixels = placing.apply(Image.fromarray(shifted.astype(np.uint8)))[0][..., 0].astype(np.int16)
        if not pixels.any():
            raise UnreadableImage(f"its mask {name!r} marks no pixel that the network sees")
        return pixels - 1 if self.levels == CLASSES else np.where(pixels > 0, EVERY_CLASS, NO_CLASS).astype(np.int16)

    def _upright(self, pixels: np.ndarray, name: str, size: Size, orientation: Orientation) -> np.ndarray:
        height, width = pixels.shape
        if (width, height) != size:
            if (height, width) != size or not orientation.transposed:
                raise UnreadableImage(
                    f"its mask {name!r} has {width}×{height} pixels, and the image {size[0]}×{size[1]}"
                )
            pixels = Bitmap(pixels).upright(orientation, width, height).pixels
        levels = np.unique(pixels)
        if self.levels == CLASSES and (wrong := levels[(levels >= self.count) & (levels != VOID)]).size:
            raise UnreadableImage(
                f"its mask {name!r} has the level {wrong[0]}, and the network classes 0 to {self.count - 1}"
            )
        if self.levels != CLASSES and levels.size - (levels[0] == 0) > 1:
            some = ", ".join(map(str, levels[:4])) + " …" * (levels.size > 4)
            raise UnreadableImage(
                f"its mask {name!r} has the levels {some}, more than one object (`mask_levels=classes`?)"
            )
        return pixels


def with_masks(inputs: Inputs, folder: str) -> Inputs:
    """Returns the inputs with the path of its mask at each source.

    The mask has the name of the image except for the extension, in the folder that agrees best. The notes list unused
    masks. Raises `CamxError` for a folder without masks of these images.
    """
    files = list(beneath(folder, ".png")) if os.path.isdir(folder) else []
    if not files:
        raise CamxError(
            f"`target_mask`: {folder!r} {'holds no masks (*.png)' if os.path.isdir(folder) else 'is no folder'}.",
            "Give the folder that holds them.",
            field="target_mask",
        )
    problems = Problems()
    images = {TruthImage(os.path.splitext(inside)[0], _unread(path)): path for inside, path in files}
    keys = {one.key: one.key.rpartition("#")[0] if one.frame else one.key for one in inputs.sources}
    found = match_truths(list(images), dict.fromkeys(keys.values()), inputs.base, stems=True, problems=problems)
    if not found:
        raise CamxError(
            f"`target_mask`: no mask in {folder!r} has the name of an image, such as "
            f"{os.path.splitext(inputs.sources[0].key)[0] + '.png'!r}.",
            field="target_mask",
        )
    own = {key: images[found[name]] for key, name in keys.items() if name in found}
    sources = tuple(replace(one, mask=own.get(one.key, "")) for one in inputs.sources)
    counts = ", ".join(f"{count} {reason}" for reason, count in problems.counts().items())
    notes = (f"Masks of {folder!r} that are not used: {counts}.",) if counts else ()
    return replace(inputs, sources=sources, notes=(*inputs.notes, *notes))


def digest_of(folder: str) -> str:
    """SHA-256 over the names and contents of the masks of a folder, in hexadecimal."""
    sha = hashlib.sha256()
    for inside, path in beneath(folder, ".png"):
        try:
            content = hashlib.sha256(read_regular(path, MAX_BYTES)).hexdigest()
        except OSError as error:
            # The row of its image has the reason.
            content = error.strerror or "unreadable"
        sha.update(f"{inside}\0{content}\n".encode("utf-8", "surrogateescape"))
    return sha.hexdigest()


def _levels(path: str, name: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            # Its size must equal that of an image that was decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with opened_mask(path) as image:
                levels = single_channel(image)
    except UnidentifiedImageError as error:
        # Its message names an object of Python.
        raise UnreadableImage(f"its mask {name!r} is no image of a known format") from error
    # Decoders may raise anything.
    except Exception as error:
        raise UnreadableImage(f"its mask {name!r} cannot be read: {first_line(error)}") from error
    if levels.dtype != np.uint8:
        if levels.min() < 0 or levels.max() > VOID:
            raise UnreadableImage(f"its mask {name!r} has levels beyond 0 … {VOID}")
        levels = levels.astype(np.uint8)
    return levels.astype(np.int16)


def _unread(path: str) -> Callable[[Size, Problems], Annotations]:
    """Returns a reader without annotations, since only the name of the file counts; each file has its own."""
    return partial(lambda _path, _size, _problems: Annotations(None, ()), path)
