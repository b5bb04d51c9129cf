"""Reads masks: PNG files with the stem of their image, with one object in two levels or classes as palette indices."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, UnidentifiedImageError

from ...errors import CamxError
from ...regular_files import open_regular
from ...sentences import counted
from ..decode import MAX_BYTES, readable_formats
from .files import beneath, read_names
from .shapes import Bitmap
from .truth import Annotations, Problems, Size, Truth, TruthImage, TruthObject

#: Classes of PASCAL VOC by palette index; 0 is the background.
VOC_CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
VOID = 255
#: Number of files, at equal distances in the folder, that decide the meaning of 255.
_SAMPLE = 64


@dataclass(frozen=True)
class _Levels:
    """Meaning of the levels of masks.

    names: classes by level, if a file lists them. single: level of the only object, whose class is not named.
    """

    names: Mapping[int, str]
    single: int


def read_mask_files(path: str) -> Truth:
    """Reads the truth of a folder of masks.

    With `classes.txt` in the folder (a name per line, the first for level 0, the background) a level is a class.
    Without it a palette has the classes of PASCAL VOC, and a grey mask shows one object of the image's own class. 255
    is void, unless the masks hold only 0 and 255. Raises `CamxError` if there are no masks.
    """
    files = list(beneath(path, ".png"))
    if not files:
        raise CamxError(f"{path!r} holds no masks (*.png). Give the folder that holds them.")
    listed = read_names(os.path.join(path, "classes.txt")) if os.path.isdir(path) else None
    single = 1 if listed else _single_level([file for _, file in files])
    levels = _Levels(dict(enumerate(listed or ())), single)
    note = (
        f"masks hold the classes of classes.txt, {VOID} is void"
        if listed
        else f"grey masks: {single} is the object" + (f", {VOID} is void" if single == 1 else "")
    )
    images = [TruthImage(os.path.splitext(inside)[0], partial(_read, file, levels)) for inside, file in files]
    return Truth("masks", tuple(images), True, Problems(), (note,))


def _single_level(files: Sequence[str]) -> int:
    """255 if grey masks hold only 0 and 255, else 1."""
    step = max(1, len(files) // _SAMPLE)
    for file in files[::step]:
        try:
            with warnings.catch_warnings(), opened_mask(file) as image:
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                if image.mode == "P" or np.isin(single_channel(image), (0, VOID)).all():
                    continue
        # Reported later, when this mask is read for its image.
        except Exception:
            continue
        return 1
    return VOID


def _read(path: str, levels: _Levels, size: Size, problems: Problems) -> Annotations:
    name = os.path.basename(path)
    try:
        with warnings.catch_warnings(), opened_mask(path) as image:
            # Pillow's limit is not needed: a mask is decoded only if it has the size of its decoded image.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if sorted(image.size) != sorted(size):
                # Checked before decoding: the header of a hostile file may announce any size.
                return Annotations(image.size, ())
            palette, pixels = image.mode == "P", single_channel(image)
    except UnidentifiedImageError:
        problems.add(name, "", "unreadable mask", "not an image of a known format")
        return Annotations(None, ())
    # Decoders may raise anything.
    except Exception as error:
        problems.add(name, "", "unreadable mask", str(error)[:120])
        return Annotations(None, ())
    names = levels.names or (dict(enumerate(VOC_CLASSES)) if palette else {levels.single: ""})
    void = bool(levels.names) or palette or levels.single == 1
    objects, unknown = list[TruthObject](), list[int]()
    for level in np.unique(pixels).tolist():
        if level == 0:
            continue
        bitmap = Bitmap(pixels == level)
        if level == VOID and void:
            objects.append(TruthObject("", bitmap, "void"))
        elif level in names:
            objects.append(TruthObject(names[level], bitmap))
        else:
            unknown.append(level)
    if unknown:
        several = ", ".join(map(str, unknown[:5])) + (" …" if len(unknown) > 5 else "")
        problems.add(name, f"level {several}", "unknown category", f"{counted(len(unknown), 'level')} without a class")
    height, width = pixels.shape
    return Annotations((width, height), tuple(objects))


@contextmanager
def opened_mask(path: str) -> Iterator[Image.Image]:
    """Opens a mask with the decoders of images only: never waits for a pipe, never starts a program for EPS."""
    with open_regular(path, MAX_BYTES) as file, Image.open(file, formats=readable_formats()) as image:
        yield image


def single_channel(image: Image.Image) -> np.ndarray:
    """Levels of a mask h×w. Raises `ValueError` for a colour image."""
    pixels = np.asarray(image)
    if pixels.dtype == bool:
        return pixels.astype(np.uint8)
    if pixels.ndim == 3:
        if not (pixels[..., :3] == pixels[..., :1]).all():
            raise ValueError("a colour image: a mask has one channel of levels")
        return pixels[..., 0]
    return pixels
