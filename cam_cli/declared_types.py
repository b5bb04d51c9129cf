"""Converts values that a program gives to options to the declared types of the fields."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from .errors import CamxError

if TYPE_CHECKING:

    class Names:
        """Type of a field that holds a tuple of texts and accepts one text or any sequence."""

        def __get__(self, options: object, kind: object) -> tuple[str, ...]: ...
        def __set__(self, options: object, value: str | Sequence[str]) -> None: ...
else:
    Names = tuple[str, ...]


def names_of(*given: str) -> Any:
    """Default of a field of `Names`."""
    return given


_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "True or False", types.NoneType: "None"}


def as_declared(field: str, kind: Any, value: Any) -> Any:
    """Converts a value to the type of its field: a path to text, one value to a tuple, a list to a tuple.

    Raises `CamxError` for a value of another type.
    """
    kinds = get_args(kind) if get_origin(kind) in (types.UnionType, typing.Union) else (kind,)
    for one in kinds:
        try:
            return _as(one, value)
        except TypeError:
            continue
    raise CamxError(
        f"`{field}` {_shown(value)} is a {type(value).__name__}.",
        f"Give {' or '.join(dict.fromkeys(map(_word, kinds)))}.",
        field=field,
    )


def _as(kind: Any, value: Any) -> Any:
    """Converts a value to one type. Raises `TypeError` if that is impossible."""
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind), value)
    if kind is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif kind is int and isinstance(value, Integral) and not isinstance(value, (int, bool)):
        value = int(value)
    elif kind is float and isinstance(value, Real) and not isinstance(value, (int, float)):
        value = float(value)
    fits = {int: isinstance(value, int) and not isinstance(value, bool),
            float: isinstance(value, (int, float)) and not isinstance(value, bool)}  # fmt: skip
    if get_origin(kind) is Literal:
        known = value in get_args(kind)
    elif kind in fits:
        known = fits[kind]
    else:
        outer = get_origin(kind) or kind
        known = not isinstance(outer, type) or isinstance(value, outer)
    if not known:
        raise TypeError
    return value


def _tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    one = isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable)
    values = (value,) if one else tuple(value)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_as(kinds[0], each) for each in values)
    if len(values) != len(kinds):
        raise TypeError
    return tuple(_as(each, part) for each, part in zip(kinds, values))


def _word(kind: Any) -> str:
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        each = _WORDS.get(kinds[0], getattr(kinds[0], "__name__", "value"))
        return f"a tuple, each {each}" if Ellipsis in kinds else f"a tuple of {len(kinds)}, each {each}"
    if get_origin(kind) is Literal:
        return ", ".join(map(repr, get_args(kind)))
    outer = get_origin(kind) or kind
    return _WORDS.get(outer, f"a {getattr(outer, '__name__', str(outer))}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
