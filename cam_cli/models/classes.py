"""Class names of a network, and the search for a class by index or name."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import CamxError, nearest
from ..sentences import counted
from .timm_import import import_timm

#: An index as text. pandas writes 7.0 in a column of integers with a gap.
_NUMBER = re.compile(r"\s*(-?[0-9]{1,18})(?:\.0+)?\s*")


def _composed(text: str) -> str:
    """Normalises Unicode, which file systems of macOS decompose."""
    return unicodedata.normalize("NFC", text)


#: Forms in which names are compared, in order; the first one that finds a class decides.
_FORMS: tuple[Callable[[str], str], ...] = (str, _composed, lambda text: _composed(text).casefold())


@dataclass(frozen=True)
class ClassNames:
    """Names of classes by index. aliases: other names (WordNet ids) in the same order, or empty.

    Without names, the name of a class is its index.
    """

    names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    _indices: tuple[dict[str, list[int]], ...] = field(
        default_factory=lambda: tuple({} for _ in _FORMS), repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for index, name in enumerate(self.names):
            known = {name, *(part for part in name.split(", "))}
            if self.aliases:
                known.add(self.aliases[index])
            for form, indices in zip(_FORMS, self._indices):
                for one in {form(name.strip()) for name in known}:
                    indices.setdefault(one, []).append(index)

    def __getitem__(self, index: int) -> str:
        return self.names[index] if index < len(self.names) else str(index)

    def two_sided(self) -> ClassNames:
        """Names of both classes of a head with one score. The user may give only the name of class 1."""
        return ClassNames((f"not {self.names[0]}", self.names[0])) if len(self.names) == 1 else self

    def index(self, wanted: str, count: int) -> int:
        """Index of a class from an index or name of the user. count: number of classes.

        Raises `CamxError` for an index out of range, an unknown name, and a name of several classes.
        """
        found = self._named(wanted.strip())
        if not found and (number := _NUMBER.fullmatch(wanted)):
            index = int(number[1])
            if not 0 <= index < count:
                raise CamxError(
                    f"There is no class {index}: the model has {counted(count, 'class', 'classes')}.",
                    f"Give an index from 0 to {count - 1}.",
                )
            return index
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
            f"The model has no class {wanted!r}.{nearest(wanted.casefold(), self._indices[-1])} "
            f"An index from 0 to {count - 1} works too."
        )

    def sharing(self, wanted: str) -> list[int]:
        """Indices of the classes with this name; empty if they are fewer than two."""
        found = self._named(wanted.strip())
        return found if len(found) > 1 else []

    def _named(self, wanted: str) -> list[int]:
        """Returns the classes of this name: exact, else in another Unicode form, else in another case.

        A whole name is preferred to a part of one.
        """
        for form, indices in zip(_FORMS, self._indices):
            if found := indices.get(form(wanted)):
                whole = [index for index in found if form(self.names[index].strip()) == form(wanted)]
                return whole if len(whole) == 1 else found
        return []


def checked(names: ClassNames, count: int, origin: str) -> ClassNames:
    """Returns the names if their number is that of the classes. Raises `CamxError` otherwise."""
    one_score = count == 1 and len(names.names) == 2  # the head of two classes
    if names.names and len(names.names) != count and not one_score:
        raise CamxError(
            f"{origin} names {counted(len(names.names), 'class', 'classes')}, but the model has {count}. "
            "Give one name per class, in order."
        )
    return names


@functools.cache
def imagenet(subset: str) -> ClassNames:
    """Names and WordNet ids of an ImageNet class set in timm (`imagenet-1k`, `imagenet-22k` …)."""
    info = import_timm().data.ImageNetInfo(subset)
    return ClassNames(tuple(info.label_descriptions()), tuple(info.label_names()))
