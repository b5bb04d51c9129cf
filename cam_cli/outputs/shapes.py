"""Checks whether JSON values have the shapes that TypedDicts declare."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints, is_typeddict

Check = Callable[[Any], bool]

#: Deepest nesting of arrays and objects; deeper values are damaged or an attack on recursion.
_DEPTH = 32
#: Tolerance for rounding at the ends of a range.
_SLACK = 1e-6
_INTEGER = 1 << 63
_NESTED = {dict, list}


class Range(NamedTuple):
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float

    def check(self, kind: type[int] | type[float]) -> Check:
        """Whether a value is a number of this kind in the range."""
        low, high, kinds = self.low - _SLACK, self.high + _SLACK, {int, kind}
        return lambda value: type(value) in kinds and low <= value <= high

    def __str__(self) -> str:
        low, high = f"{self.low:g}", f"{self.high:g}"
        return f"{low} … {high}" if self.high < 1e6 else f"from {low}"


class Length(NamedTuple):
    """Lists and texts of a fixed length."""

    values: int

    def __call__(self, value: list[Any] | str) -> bool:
        return len(value) == self.values


def parse_json(data: bytes | str) -> Any:
    """Parses JSON. Raises `ValueError` for a text that is broken, nested too deeply, or holds NaN or infinity."""
    text = data if isinstance(data, str) else data.decode("utf-8")
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    # Fast path: most texts have too few brackets to be deep.
    if text.count("[") + text.count("{") > _DEPTH and not _shallow(value, _DEPTH):
        raise ValueError("nested too deeply")
    return value


def _reject(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject)


def _shallow(value: Any, levels: int) -> bool:
    kind = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list:
        return True
    if not levels:
        return False
    for one in value:  # noqa: SIM110 - as above
        if type(one) in _NESTED and not _shallow(one, levels - 1):
            return False
    return True


@cache
def check_of(kind: Any) -> Check:
    """Returns a function that checks whether a value has the shape of `kind`.

    kind: str, int, float, bool, None, Any, list, dict, unions, Literal, TypedDict, and Annotated with an additional
    check. A float may be written as an integer; numbers must be finite. Undeclared keys of a TypedDict may hold
    anything.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if origin is Annotated:
        inner, (holds,) = check_of(arguments[0]), arguments[1:]
        return holds.check(arguments[0]) if isinstance(holds, Range) else lambda value: inner(value) and holds(value)
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in arguments
    if origin in (Union, types.UnionType):
        checks = [check_of(one) for one in arguments]
        return lambda value: any(check(value) for check in checks)
    if origin is list:
        each = check_of(arguments[0])
        return lambda value: type(value) is list and all(map(each, value))
    if origin is dict:
        each = check_of(arguments[1])
        return lambda value: type(value) is dict and all(map(each, value.values()))
    if is_typeddict(kind):
        return _object(kind)
    raise TypeError(f"{kind!r} has no check")


def _object(kind: Any) -> Check:
    fields, required = checks_of(kind), kind.__required_keys__

    def has_shape(value: Any) -> bool:
        if type(value) is not dict or not required <= value.keys():
            return False
        for name, one in value.items():  # noqa: SIM110 - runs for every object of every line; a generator is slower
            if name in fields and not fields[name](one):
                return False
        return True

    return has_shape


@cache
def checks_of(kind: Any) -> Mapping[str, Check]:
    """Checks of the fields of a TypedDict."""
    return {name: check_of(hint) for name, hint in get_type_hints(kind, include_extras=True).items()}


def without_wrong(kind: Any, value: dict[str, Any], above: str = "") -> tuple[dict[str, Any], list[str]]:
    """Object without its malformed fields according to the TypedDict `kind`, and their names.

    Of a nested object with optional fields only the malformed ones are left out.
    """
    hints = get_type_hints(kind, include_extras=True)
    kept: dict[str, Any] = {}
    wrong: list[str] = []
    for name, one in value.items():
        hint = hints.get(name, Any)
        if check_of(hint)(one):
            kept[name] = one
        elif is_typeddict(hint) and not hint.__required_keys__ and isinstance(one, dict):
            kept[name], inside = without_wrong(hint, one, f"{above}{name}.")
            wrong += inside
        else:
            wrong.append(above + name)
    return kept, wrong


def _is_float(value: Any) -> bool:
    return type(value) in (int, float) and -1.7e308 < value < 1.7e308


_PLAIN: dict[Any, Check] = {
    str: lambda value: type(value) is str,
    int: lambda value: type(value) is int and -_INTEGER <= value < _INTEGER,
    float: _is_float,
    bool: lambda value: type(value) is bool,
    None: lambda value: value is None,
    type(None): lambda value: value is None,
    Any: lambda value: True,
    object: lambda value: True,
}
