"""Parsers from a word of the command line to a value. Each raises `ValueError("give …")`."""

from __future__ import annotations

import ast
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

#: Most digits of a whole number: no count, index or size has more, and Python does not parse thousands of digits.
_MOST_DIGITS = 18


def parser_of(kind: Any, allowed: str = "") -> Callable[[str], Any]:
    """Parser of a type: str, int, float, Path, Literal, unions of these, and tuples of them as lists with commas.

    allowed: end of the error about numbers: ` from 1`, `, or auto`.
    """
    if kind in (str, Path):
        return typing.cast(Callable[[str], Any], kind)
    if kind in (int, float):
        return lambda text: number(text, kind, allowed)
    if get_origin(kind) is tuple:
        element = parser_of(get_args(kind)[0], allowed)
        return lambda text: tuple(element(word) for word in words(text))
    if get_origin(kind) is Literal:
        return lambda text: one_of(text, get_args(kind))
    if get_origin(kind) in (typing.Union, types.UnionType):
        return lambda text: _any_of(text, get_args(kind))
    raise TypeError(f"no parser for {kind}: give one to the Flag")


def number(text: str, kind: type[int] | type[float], allowed: str = "") -> float:
    """Parses a whole number or a float."""
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"give {what}{allowed}") from None


def one_of(text: str, choices: tuple[str, ...]) -> str:
    """Parses one of a few words."""
    if text not in choices:
        raise ValueError(f"give {_listed(choices)}")
    return text


def _any_of(text: str, kinds: tuple[Any, ...]) -> Any:
    """Parses the word as the first of several types that accepts it."""
    asked = []
    for kind in kinds:
        try:
            return parser_of(kind)(text)
        except ValueError as error:
            asked.append(str(error).removeprefix("give "))
    raise ValueError(f"give {_listed(asked)}")


def _listed(words: typing.Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def words(text: str) -> tuple[str, ...]:
    """Parses a non-empty list with commas."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise ValueError("give at least one name, or leave it out for the default")
    return found


def per_channel(text: str) -> tuple[float, ...]:
    """Parses `0.5` or `0.485,0.456,0.406`."""
    try:
        values = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        values = ()
    if not values:
        raise ValueError("give one number, or one per channel separated by commas (0.485,0.456,0.406)")
    return values


def whole_number(text: str) -> int | None:
    """Whole number of a text without a sign; None for any other text, and for more than 18 digits."""
    digits = text.strip()
    return int(digits) if digits.isdecimal() and len(digits) <= _MOST_DIGITS else None


def sides(text: str) -> int | tuple[int, int]:
    """Parses `224`, or height and width, `224x448`; a square becomes one number."""
    words = re.split(r"[x×,]", text.strip().lower())
    height, width = whole_number(words[0]), whole_number(words[-1])
    if len(words) > 2 or height is None or width is None:
        raise ValueError("give a number of pixels, or HxW such as 224x448")
    return height if height == width else (height, width)


def key_value(text: str) -> tuple[str, Any]:
    """Parses `KEY=VALUE` with numbers, true/false and none; everything else is text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise ValueError("give KEY=VALUE, such as pad_type=same")
    constants = {"true": True, "false": False, "none": None}
    if value.lower() in constants:
        return key, constants[value.lower()]
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return key, value


class Bytes(int):
    """A number of bytes, printed in the largest decimal unit that divides it."""

    def __str__(self) -> str:
        power = next((n for n in (4, 3, 2, 1) if self and self % 1000**n == 0), 0)
        return f"{int(self) // 1000**power}{' KMGT'[power].strip()}" + "B" * (power > 0)


def seconds(text: str) -> float:
    """Parses `90`, `90s`, `30m`, `2h` or `1h30m` to seconds."""
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip().lower())
    total = sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1))) if found else 0.0
    if not total > 0:
        raise ValueError("give a time such as 90s, 30m, 2h or 1h30m")
    return total


def byte_count(text: str) -> Bytes:
    """Parses `0`, `500MB`, `4GB`, `1.5GiB` to bytes."""
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise ValueError("give a size such as 500MB or 4GB, or 0")
    digits, unit, binary = found.groups()
    return Bytes(float(digits) * (1024 if binary else 1000) ** " KMGT".index(unit.upper() or " "))


@dataclass(frozen=True)
class Amount:
    """A number `N`, or a share `P%` of a whole."""

    value: float = 0
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Amount:
        digits = text.removesuffix("%")
        try:
            value = float(digits) if text.endswith("%") or text.isdecimal() else -1.0
        except ValueError:
            value = -1.0
        if not value >= 0 or (text.endswith("%") and value > 100):
            raise ValueError("give a number of images, or a percentage such as 5%")
        return cls(value, text.endswith("%"))

    def of(self, whole: int) -> float:
        return whole * self.value / 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value:g}" + "%" * self.percent
