"""Reads training and validation images from class folders. Raises errors in the folders before training starts."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import CamxError
from ..images.class_folders import subfolders
from ..images.listing import Source, find
from ..images.picture import Unreadable

TRAIN, VAL = "train", "val"

#: Number of unreadable images in the warnings.
_NAMED = 10


@dataclass(frozen=True)
class Sample:
    """An image and the index of its class."""

    source: Source
    label: int


@dataclass(frozen=True)
class Dataset:
    """Class names in sorted order, samples sorted by class and path, and the images that cannot be read."""

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    unreadable: tuple[Unreadable, ...] = ()
    #: Sentences about folders that cannot be listed.
    notes: tuple[str, ...] = ()

    def losses(self) -> Iterator[str]:
        """Warnings about the unreadable images; the first ten with the reason."""
        if self.unreadable:
            yield f"unreadable images that are left out: {len(self.unreadable)}"
            for one in self.unreadable[:_NAMED]:
                yield f"  {one.source.path}: {one.reason}"
            if len(self.unreadable) > _NAMED:
                yield f"  … and {len(self.unreadable) - _NAMED} more, all in run.json"

    def without(self, unreadable: Iterable[Unreadable]) -> Dataset:
        """Copy without these images. Raises `CamxError` if a class has no other image."""
        new = tuple(unreadable)
        gone = {one.source.path for one in new}
        left = replace(
            self,
            train=tuple(s for s in self.train if s.source.path not in gone),
            val=tuple(s for s in self.val if s.source.path not in gone),
            unreadable=(*self.unreadable, *new),
        )
        for part, samples in ((TRAIN, left.train), (VAL, left.val)):
            present = {s.label for s in samples}
            for index, name in enumerate(self.classes):
                if index not in present:
                    example = next(
                        (f" ({one.source.path}: {one.reason})" for one in new if _class_of(one.source) == name), ""
                    )
                    raise CamxError(f"No image of class {name!r} in {part}/ can be read{example}. Replace the files.")
        return left

    @property
    def counts(self) -> list[int]:
        """Training images per class."""
        found = Counter(sample.label for sample in self.train)
        return [found[index] for index in range(len(self.classes))]

    @property
    def class_weights(self) -> list[float]:
        """Loss weights that make every class count the same. Their mean over the training images is 1."""
        return [len(self.train) / (len(self.classes) * count) for count in self.counts]


def find_dataset(folder: str, val_fraction: float, seed: int) -> Dataset:
    """Reads `train/` and `val/` of class folders, or splits one folder of class folders.

    The split draws `val_fraction` of each class with `seed`: at least one image, never all.
    Raises `CamxError` for a folder, a class or a part that is missing or empty.
    """
    if not os.path.isdir(folder):
        raise CamxError(
            f"There is no folder {folder!r}. Give one with train/ and val/, or one with a folder per class."
        )
    parts = {name: os.path.isdir(os.path.join(folder, name)) for name in (TRAIN, VAL)}
    if not any(parts.values()):
        return _split(folder, val_fraction, seed)
    for name, other in ((TRAIN, VAL), (VAL, TRAIN)):
        if not parts[name]:
            raise CamxError(
                f"{folder!r} has {other}/ but no {name}/. Add it with the same class folders"
                + (f", or give {os.path.join(folder, TRAIN)!r} to split it." if name == VAL else ".")
            )
    (train, notes), (val, more) = (_by_class(os.path.join(folder, name)) for name in (TRAIN, VAL))
    if set(train) != set(val):
        raise CamxError(_differing(sorted(set(train) - set(val)), sorted(set(val) - set(train))))
    classes = tuple(sorted(train))
    return Dataset(classes, _samples(classes, train), _samples(classes, val), notes=(*notes, *more))


def _by_class(folder: str) -> tuple[dict[str, list[Source]], tuple[str, ...]]:
    """Images of each class folder, and notes on folders that cannot be listed. At least two classes, none empty."""
    names = subfolders(folder)
    if not names:
        raise CamxError(f"{folder!r} has no class folders. Put the images of each class into a folder of its name.")
    if len(names) == 1:
        raise CamxError(
            f"{folder!r} has only one class folder ({names[0]!r}). A classifier needs two or more: add another."
        )
    found: dict[str, list[Source]] = defaultdict(list)
    inputs = find((folder,))
    for source in inputs.sources:
        if "/" in source.key:
            found[_class_of(source)].append(source)
    if empty := [name for name in names if name not in found]:
        raise CamxError(
            f"No images in the class folder{'s' * (len(empty) > 1)} {_few(empty, folder)}. Add images or remove it."
        )
    return dict(found), inputs.notes


def _split(folder: str, val_fraction: float, seed: int) -> Dataset:
    found, notes = _by_class(folder)
    classes = tuple(sorted(found))
    train: dict[str, list[Source]] = {}
    val: dict[str, list[Source]] = {}
    for index, name in enumerate(classes):
        sources = found[name]
        if len(sources) < 2:
            raise CamxError(f"Class {name!r} has only one image, but training and validation need one each. Add more.")
        count = min(len(sources) - 1, max(1, round(len(sources) * val_fraction)))
        held_out = set(np.random.default_rng((seed, index)).permutation(len(sources))[:count].tolist())
        train[name] = [source for i, source in enumerate(sources) if i not in held_out]
        val[name] = [source for i, source in enumerate(sources) if i in held_out]
    return Dataset(classes, _samples(classes, train), _samples(classes, val), notes=notes)


def _samples(classes: Sequence[str], found: dict[str, list[Source]]) -> tuple[Sample, ...]:
    return tuple(Sample(replace(s, label=name), index) for index, name in enumerate(classes) for s in found[name])


def _class_of(source: Source) -> str:
    return source.key.split("/", 1)[0]


def _differing(only_train: list[str], only_val: list[str]) -> str:
    found = [f"{_few(only_train)} {'is' if len(only_train) == 1 else 'are'} only in train/"] * bool(only_train)
    found += [f"{_few(only_val)} {'is' if len(only_val) == 1 else 'are'} only in val/"] * bool(only_val)
    return f"train/ and val/ have different classes: {'; '.join(found)}. Both need the same class folders."


def _few(names: list[str], folder: str = "") -> str:
    shown = ", ".join(repr(os.path.join(folder, name)) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
