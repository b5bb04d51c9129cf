"""Names of a network's classes, and the way back from what a user calls a class to its index."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CamxError, nearest
from .timm_import import import_timm


@dataclass(frozen=True)
class ClassNames:
    """`names[i]` is class i in words; `aliases` are other names (WordNet ids) in the same order, or empty.

    Networks of unknown classes have no names: the index stands for itself.
    """

    names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    _index: dict[str, list[int]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for index, name in enumerate(self.names):
            spoken = {name, *(part for part in name.split(", "))}
            if self.aliases:
                spoken.add(self.aliases[index])
            for one in spoken:
                self._index.setdefault(one.strip().casefold(), []).append(index)

    def __getitem__(self, index: int) -> str:
        return self.names[index] if index < len(self.names) else str(index)

    def two_sided(self) -> ClassNames:
        """The names of the two classes of a head with one score: that of class 1 may be given alone."""
        return ClassNames((f"not {self.names[0]}", self.names[0])) if len(self.names) == 1 else self

    def index(self, wanted: str, count: int) -> int:
        """The class that a user means by an index or a name; `count` is the number of classes.

        Raises `CamxError` for an index out of range, an unknown name or one that several classes share.
        """
        if re.fullmatch(r"\s*-?\d+\s*", wanted) and wanted.strip().casefold() not in self._index:
            index = int(wanted)
            if not 0 <= index < count:
                raise CamxError(f"There is no class {index}: the model has {count}, numbered 0 to {count - 1}.")
            return index
        found = self._index.get(wanted.strip().casefold(), [])
        exact = [i for i in found if self.names[i].casefold() == wanted.strip().casefold()]
        found = exact if len(exact) == 1 else found
        if len(found) == 1:
            return found[0]
        if found:
            choices = ", ".join(f"{i} ({self.names[i]})" for i in found[:4])
            raise CamxError(f"Several classes are called {wanted!r}: {choices}. Give the index.")
        if not self.names:
            raise CamxError(
                f"The class {wanted!r} is unknown: this model has no class names. Give an index or `class_names=FILE`."
            )
        raise CamxError(
            f"The model has no class {wanted!r}.{nearest(wanted.casefold(), self._index)} "
            f"An index from 0 to {count - 1} works too."
        )


def read_class_names(path: str) -> ClassNames:
    """Class names from a text file (one per line), a JSON list, or a JSON object of index to name."""
    try:
        text = Path(path).read_text("utf-8-sig")
        if path.lower().endswith(".json"):
            return ClassNames(tuple(_from_json(json.loads(text))))
    except OSError as error:
        raise CamxError(f"`class_names` {path!r} cannot be read: {error.strerror}. Check the path.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise CamxError(
            f"`class_names` {path!r} is not a list of names or an object of index to name: {error}."
        ) from error
    return ClassNames(tuple(line.strip() for line in text.splitlines() if line.strip()))


def _from_json(content: object) -> Iterable[str]:
    if isinstance(content, dict):
        if all(str(key).isdecimal() for key in content):
            by_index = {int(key): value for key, value in content.items()}
        else:
            by_index = {int(index): name for name, index in content.items()}
        return [_name(by_index[i]) for i in range(len(by_index))]
    if isinstance(content, list):
        return [_name(value) for value in content]
    raise TypeError(f"it holds a {type(content).__name__}")


def _name(value: object) -> str:
    """A name, also out of Keras' pair of WordNet id and name."""
    return str(value[1]) if isinstance(value, list) and len(value) == 2 else str(value)


def checked(names: ClassNames, count: int, origin: str) -> ClassNames:
    """The names if they are as many as the network has classes; raises `CamxError` otherwise."""
    one_score = count == 1 and len(names.names) == 2  # the head of two classes
    if names.names and len(names.names) != count and not one_score:
        raise CamxError(
            f"{origin} names {len(names.names)} classes, but the model has {count}. Give one name per class, in order."
        )
    return names


def imagenet(subset: str) -> ClassNames:
    """Words and WordNet ids of an ImageNet class set that timm knows (`imagenet-1k`, `imagenet-22k` …)."""
    info = import_timm().data.ImageNetInfo(subset)
    return ClassNames(tuple(info.label_descriptions()), tuple(info.label_names()))
