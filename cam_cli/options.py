"""Flags as data: every field of a frozen dataclass of options has a `Flag`, and a command takes such dataclasses:

    top_k: Annotated[int, Flag("Classes per image in the table.", min=1, results=True)] = 5

Command line, `--config` keys, `CAMX_…` variables, checks, fingerprints, records and reference pages derive from these
fields. This module imports neither torch nor numpy nor typer.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import KW_ONLY, MISSING, dataclass
from functools import cache
from keyword import iskeyword
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from .declared_types import as_declared
from .errors import CamxError, unknown
from .parsers import parser_of

MODEL, INPUT, EXPLANATION, GROUPS, GATES, TRAINING, PICTURE, OUTPUT, SPEED, TRACKING, BEHAVIOUR = PANELS = (
    "Model",
    "Input",
    "Explanation",
    "Groups",
    "Gates",
    "Training",
    "Rendering",
    "Output",
    "Speed",
    "Tracking",
    "Behaviour",
)


@dataclass(frozen=True, eq=False)
class Flag:
    """Declares the command-line properties of a field, in addition to its name, type and default.

    help: one or two sentences; fields in backticks are shown as flags. name: long name, if not that of the field.
    argument: a positional word instead of a flag; a tuple takes several. panel, order: place in the help, lower orders
    first, equal ones in the order of their fields. min, max, choices: allowed values, also for elements of a tuple.
    words, known: completions of shells besides the choices: frequent words, and a list of others (`models`, `layers` or
    `classes`). parse: a named function from a word to a value that raises `ValueError("give …")`. none: the word for
    None. repeatable: a tuple or mapping gets one element per flag; otherwise a tuple is a list with commas, and several
    flags are joined. lines: elements may hold spaces, so the variable has one per line. only_off: a switch that is on
    has only `--no-NAME`. results: whether results depend on the value. example: value for the reference pages if the
    default is None. page: document with more.
    """

    help: str
    _: KW_ONLY
    name: str = ""
    short: str = ""
    argument: bool = False
    metavar: str = ""
    panel: str = ""
    order: int = 0
    min: float | None = None
    max: float | None = None
    choices: Collection[str] = ()
    words: Collection[str] = ()
    known: str = ""
    parse: Callable[[str], Any] | None = None
    none: str = ""
    repeatable: bool = False
    lines: bool = False
    only_off: bool = False
    results: bool = False
    example: str = ""
    page: str = ""

    @property
    def range(self) -> str:
        """`from 0 to 1`, `from 1`, `up to 9`, or nothing."""
        if self.min is None:
            return "" if self.max is None else f"up to {self.max}"
        return f"from {self.min}" if self.max is None else f"from {self.min} to {self.max}"

    def check(self, field: str, value: Any) -> None:
        """Raises `CamxError` for a value, or an element of a tuple, outside the range or the choices."""
        for one in value if isinstance(value, tuple) else (value,):
            if self.choices and one not in self.choices:
                raise unknown(field, one, self.choices)
            if not self.range or isinstance(one, str):
                continue
            if not (self.min is None or one >= self.min) or not (self.max is None or one <= self.max):
                raise CamxError(f"`{field}` {one} is out of range.", f"Give a number {self.range}.", field=field)


class Filled:
    """Marks a field without a flag that the command line fills: `command`, `origins` or `names`."""


FILLED = Filled()


@dataclass(frozen=True)
class Option:
    """A field with a flag. path: from the outermost dataclass. default: MISSING if there is none."""

    path: tuple[str, ...]
    type: Any
    default: Any
    flag: Flag

    @property
    def field(self) -> str:
        return self.path[-1]

    @property
    def name(self) -> str:
        """Long name without dashes, which is also the key in a config file."""
        return "no-" * self.flag.only_off + (self.flag.name or self.field.replace("_", "-"))

    @property
    def key(self) -> str:
        """Name as an identifier."""
        return self.name.replace("-", "_")

    @property
    def parameter(self) -> str:
        """Name as a parameter of a function; `class` is not allowed there."""
        return f"{self.key}_" if iskeyword(self.key) else self.key

    @property
    def variable(self) -> str:
        """Environment variable; "" for an argument."""
        return "" if self.flag.argument else f"CAMX_{self.key.upper()}"

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def several(self) -> bool:
        """Whether it takes several words: one per flag, or consecutive arguments."""
        return self.flag.repeatable or (self.flag.argument and get_origin(without_none(self.type)) is tuple)

    @property
    def listed(self) -> bool:
        """Whether a word is a list with commas, as for `--save overlay,array`."""
        return not self.several and get_origin(self.base) is tuple

    @property
    def base(self) -> Any:
        """Type of the value of one word."""
        inner = without_none(self.type)
        return get_args(inner)[0] if self.several and get_origin(inner) is tuple else inner

    @property
    def switch(self) -> bool:
        return self.base is bool

    @property
    def table(self) -> bool:
        """Whether the value is a mapping: one KEY=VALUE per flag."""
        origin = get_origin(self.base)
        return isinstance(origin, type) and issubclass(origin, Mapping)

    def read(self, word: str) -> Any:
        """Parses a word. Raises `CamxError` for an invalid one."""
        if self.flag.none and word == self.flag.none:
            return None
        allowed = f" {self.flag.range}" * bool(self.flag.range) + f", or {self.flag.none}" * bool(self.flag.none)
        try:
            return (self.flag.parse or parser_of(self.base, allowed))(word)
        except ValueError as error:
            raise CamxError(f"`{self.key}` {word!r}: {error}.", field=self.field) from None

    def in_variable(self, text: str) -> list[str]:
        """Splits the text of an environment variable into words; a list with commas is one word."""
        if self.listed:
            return [text]
        return [line for line in text.splitlines() if line.strip()] if self.flag.lines else text.split()

    def written(self, value: Any) -> str:
        """Formats a value as a word that `read` accepts."""
        if value is None:
            return self.flag.none
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    @property
    def placeholder(self) -> str:
        """Placeholder of the value: N for a whole number, X for any number, `A,B` for a list, else WORD; "" for a
        switch."""
        if self.switch or self.flag.argument:
            return ""
        if self.table:
            return "KEY=VALUE"
        if get_origin(self.base) is tuple:
            return "A,B"
        return {int: "N", float: "X"}.get(self.base, "WORD")

    def spelled(self, value: str = "") -> str:
        """The flag as typed, with its value if any; `False` gives the flag that switches off."""
        if self.flag.argument:
            return self.flag.metavar or self.key.upper()
        if not self.switch:
            return f"--{self.name} {value}".rstrip()
        return f"--no-{self.name}" if value == "False" and not self.flag.only_off else f"--{self.name}"


def without_none(kind: Any) -> Any:
    """`T` of `T | None`; any other type unchanged."""
    if get_origin(kind) not in (types.UnionType, typing.Union):
        return kind
    rest = tuple(one for one in get_args(kind) if one is not types.NoneType)
    return rest[0] if len(rest) == 1 else typing.Union[rest]  # noqa: UP007 - of types that are known at run time only


@cache
def annotations_of(options: type) -> Mapping[str, tuple[Any, tuple[Any, ...]]]:
    """Type and annotations of each field of a dataclass.

    Cached: every evaluation of annotations would create new flags.
    """
    hints = get_type_hints(options, include_extras=True)
    parts = {field.name: hints[field.name] for field in dataclasses.fields(options)}
    return {
        name: (get_args(hint)[0], get_args(hint)[1:]) if get_origin(hint) is Annotated else (hint, ())
        for name, hint in parts.items()
    }


def flag_of(notes: tuple[Any, ...]) -> Flag | None:
    return next((note for note in notes if isinstance(note, Flag)), None)


def options_of(options: type, default: Any = MISSING, path: tuple[str, ...] = ()) -> Iterator[Option]:
    """All flags of a dataclass and its nested ones. default: an instance with the default values."""
    for field in dataclasses.fields(options):
        kind, notes = annotations_of(options)[field.name]
        value = default_of(field) if default is MISSING else getattr(default, field.name)
        if flag := flag_of(notes):
            yield Option((*path, field.name), kind, value, flag)
        elif dataclasses.is_dataclass(kind):
            yield from options_of(typing.cast(type, kind), value, (*path, field.name))


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Default of a field, or MISSING."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def check(options: Any) -> None:
    """Raises `CamxError` for a value of another type, or one that its flag does not allow. Called in `__post_init__`.

    Converts shorthand values of programs, such as one name for a tuple of names.
    """
    kind: type = type(options)
    for name, (declared, notes) in annotations_of(kind).items():
        if (flag := flag_of(notes)) is None:
            continue
        value = as_declared(name, declared, given := getattr(options, name))
        if value is not given:
            object.__setattr__(options, name, value)
        if value is not None:
            flag.check(name, value)


def results(options: Any) -> dict[str, Any]:
    """Values on which results depend, by field, without nested dataclasses."""
    kind: type = type(options)
    values = dataclasses.asdict(options)
    flags = {name: flag_of(notes) for name, (_, notes) in annotations_of(kind).items()}
    return {name: values[name] for name, flag in flags.items() if flag and flag.results}


def recorded(job: Any) -> dict[str, Any]:
    """A job for `run.json`: values of its options, and their origins by flag name."""
    values = dataclasses.asdict(job)
    return {"origins": values.pop("origins"), "job": values}
