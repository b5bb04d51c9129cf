"""Renders the reference of `docs/library.md`: signatures and docstrings of public names, fields with their help."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Union, get_args, get_origin

import cam_cli
from cam_cli.folder_run import FolderRun
from cam_cli.maps.explanation import ClassMap, Prediction, TrueClass
from cam_cli.models.options import PreprocessingOptions
from cam_cli.options import annotations_of, flag_of

#: Types of fields and results of public names: users read them and do not create them.
_PARTS = (ClassMap, FolderRun, Prediction, PreprocessingOptions, TrueClass)
#: Methods for programs, of classes whose other public methods only the package calls.
CALLED = {"Explainer": ("__call__", "explain_tensor", "replica"), "Rendering": (), "Target": ("parse",)}
#: Fields and attributes that the package fills and reads itself.
FILLED = {"Explainer": ("overlays", "reader", "references"), "Rendering": ("evaluated", "scales")}
#: Longest signature in one line, in characters; a longer one has a parameter per line.
_WIDTH = 100
_NAMES = r"`?[a-z_]+`?(?:, `?[a-z_]+`?)*"
_SPLIT = re.compile(rf"(?<=[.;]) (?={_NAMES}: |Raises )")
_PARAMETER = re.compile(rf"({_NAMES}): (.+)")


def library_reference() -> str:
    """A section for every name of `cam_cli.__all__` and every type of a result, in alphabetical order."""
    public = {name: getattr(cam_cli, name) for name in cam_cli.__all__}
    found = {**public, **{kind.__name__: kind for kind in _PARTS}}
    parts: list[str] = []
    for name in sorted(found, key=str.lower):
        parts += [f"### {name}", *_section(name, found[name])]
    return "\n\n".join(parts)


def _section(name: str, found: Any) -> Iterator[str]:
    if inspect.isfunction(found):
        yield _code(_signature(name, found))
        yield from documented(found)
    elif dataclasses.is_dataclass(found):
        yield from documented(found, FILLED.get(name, ()))
        yield _fields(found)
        yield from _methods(found)
    else:
        if "__init__" in vars(found):
            yield _code(_signature(name, found.__init__))
        yield from documented(found, FILLED.get(name, ()))
        if "__init__" in vars(found) and found.__init__.__doc__:
            yield from documented(found.__init__)
        yield from _methods(found)


def _methods(found: type) -> Iterator[str]:
    """A line for every method and property that the class itself defines and a program uses."""
    lines = []
    called = CALLED.get(found.__name__)
    for name, member in vars(found).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if (name.startswith("_") and name != "__call__") or not inspect.isroutine(function) or not function.__doc__:
            continue
        if called is not None and name not in called:
            continue
        shown = name if isinstance(member, property) else _signature(_as_called(found, name), function, width=1000)
        first = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
        lines.append(f"* `{shown}`: {first}")
    if lines:
        yield "\n".join(lines)


def _as_called(found: type, name: str) -> str:
    """The name as a program writes it: `explainer` for a call of an object, `Target.parse`, `.replica`."""
    if name == "__call__":
        return found.__name__.lower()
    ofclass = isinstance(vars(found)[name], classmethod | staticmethod)
    return f"{found.__name__}.{name}" if ofclass else f".{name}"


def documented(found: Any, hidden: Sequence[str] = ()) -> Iterator[str]:
    """Paragraphs of a docstring. Examples after `>>>` become blocks of code; `name: meaning` becomes a list item.

    hidden: names to leave out.
    """
    for paragraph in re.split(r"\n\s*\n", inspect.getdoc(found) or ""):
        lines = paragraph.splitlines()
        text = " ".join(line for line in lines if not line.startswith((">>>", "...")))
        code = [line[4:] for line in lines if line.startswith((">>>", "..."))]
        yield from _sentences(text, hidden)
        if code:
            yield "```\n" + "\n".join(code) + "\n```"


def _sentences(text: str, hidden: Sequence[str]) -> Iterator[str]:
    """The text as paragraphs, and as lists where it describes parameters or fields."""
    items: list[str] = []
    for part in filter(None, _SPLIT.split(text)):
        if found := _PARAMETER.fullmatch(part):
            named = [name.strip("`") for name in found[1].split(", ")]
            if not set(named) <= set(hidden):
                items.append(f"* {', '.join(f'`{name}`' for name in named)}: {found[2].rstrip(';.')}.")
            continue
        if items:
            yield "\n".join(items)
            items = []
        yield part
    if items:
        yield "\n".join(items)


def _code(signature: str) -> str:
    return f"```\n{signature}\n```"


def _signature(name: str, function: Any, width: int = _WIDTH) -> str:
    """The parameters with types and defaults as the source has them, without `self` and `cls`."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"{function!r} is no function")
    parameters = list(_parameters(node.args))
    ending = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    short = f"{name}({', '.join(parameters)}){ending}"
    if len(short) <= width:
        return short
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){ending}"])


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    positional = arguments.args
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    for argument, default in zip(positional, [*defaults, *arguments.defaults], strict=True):
        if argument.arg not in ("self", "cls"):
            yield _parameter(argument, default)
    if arguments.vararg:
        yield f"*{_parameter(arguments.vararg, None)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.kwarg:
        yield f"**{_parameter(arguments.kwarg, None)}"


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    hint = f": {ast.unparse(argument.annotation)}" if argument.annotation else ""
    value = f"{' = ' if hint else '='}{ast.unparse(default)}" if default else ""
    return f"{argument.arg}{hint}{value}"


def _fields(found: type) -> str:
    """Fields of a dataclass with their types and defaults; fields of options with their help."""
    kinds = annotations_of(found)
    helps = {name: flag.help for name, (_, notes) in kinds.items() if (flag := flag_of(notes))}
    rows = []
    for field in dataclasses.fields(found):
        if field.name in FILLED.get(found.__name__, ()):
            continue
        cells = [f"`{field.name}`", f"`{_type(kinds[field.name][0])}`", _default(field)]
        rows.append(cells + [helps.get(field.name, "")] * bool(helps))
    head = ["field", "type", "default", *[""] * bool(helps)]
    return "\n".join(_line(cells) for cells in (head, ["---"] * len(head), *rows))


def _line(cells: list[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    if value is dataclasses.MISSING:
        return "required"
    nested = dataclasses.is_dataclass(value)
    return f"`{type(value).__name__}()`" if nested else f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    """A default as the user types it; targets as text."""
    if isinstance(value, tuple):
        inside = ", ".join(_plain(one) for one in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value) if isinstance(value, (str, int, float, bool, dict, type(None))) else repr(str(value))


def _type(kind: Any) -> str:
    """A type without module names, with `or` for a bar: not every renderer accepts an escaped bar in code."""
    if get_origin(kind) is Union:
        return " or ".join(map(_type, get_args(kind)))
    text = re.sub(r"\b(?:\w+\.)+(?=\w)", "", inspect.formatannotation(kind)).replace("NoneType", "None")
    return text.replace(" | ", " or ")
