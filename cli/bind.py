"""Converts dataclasses of options to the parameters of a command, and parsed words back to the dataclasses.

A command is a function of such dataclasses, `def explain(job: ExplainJob, run: RunFlags) -> int`. Typer receives a
function of the same name with one parameter for each field with a `Flag`.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import os
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Annotated, Any, cast, get_type_hints

import typer
from rich.markup import escape

from cam_cli.errors import CamxError
from cam_cli.options import PANELS, Filled, Flag, Option, annotations_of, default_of, flag_of, options_of

from .config import CONFIG, ISOLATED, config_reader, line_of
from .help import Learning
from .names import Names

Function = Callable[..., int]


@dataclass(frozen=True)
class Command:
    """A command of the program: its function, example command lines with comments, and the page of its
    documentation."""

    run: Function
    examples: Mapping[str, str] = field(default_factory=dict)
    page: str = ""


class Refused(CamxError):
    """Error whose text names flags, not fields. as_json: whether the command prints JSON."""

    def __init__(self, text: str, *, as_json: bool) -> None:
        super().__init__(text)
        self.as_json = as_json


def bind(command: Function) -> Function:
    """Command for Typer, with flags from the dataclasses in the annotations of its parameters."""
    parts = parts_of(command)
    options = flags_of(command)
    names = Names(options)

    def run(context: typer.Context, **typed: Any) -> int:
        origins = {option.name: origin_of(context, option) for option in options}
        filled = {"command": shlex.join(["camx", *sys.argv[1:]]), "names": names}
        try:
            values = {option.flag: _value(option, typed[option.parameter], origins[option.name]) for option in options}
            given = {}
            for name, part in parts.items():
                own = {option.name: origins[option.name] for option in options_of(part)}
                given[name] = _built(part, MISSING, values, {**filled, "origins": own})
            return command(**given)
        except CamxError as error:
            words = {option: typed[option.parameter] for option in options if place_of(option, origins[option.name])}
            raise Refused(_message(error, names, origins, words), as_json=bool(typed.get("json"))) from error

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("context", keyword, annotation=typer.Context)]
    tables = [option.name for option in options if option.table]
    for option in options:
        default = inspect.Parameter.empty if option.required else _default(option)
        annotation = _parameter(option, names, tables)
        parameters.append(inspect.Parameter(option.parameter, keyword, default=default, annotation=annotation))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # Typer reads it
    run.__doc__ = escape(inspect.getdoc(command) or "")
    return run


def parts_of(command: Function) -> dict[str, type]:
    """Dataclasses of a command by parameter."""
    hints = get_type_hints(command)
    return {name: hints[name] for name in inspect.signature(command).parameters}


def flags_of(command: Function) -> tuple[Option, ...]:
    """Flags of a command in the order of the help. Fields that share a `Flag` object are one flag."""
    found: dict[str, Option] = {}
    for part in parts_of(command).values():
        for option in options_of(part):
            if found.setdefault(option.name, option).flag is not option.flag:
                raise TypeError(f"two flags of {command.__name__} are called {option.name}")
    return tuple(sorted(found.values(), key=_place))


def _place(option: Option) -> tuple[int, int]:
    """Sort key: arguments, then flags without panel, then by panel."""
    flag = option.flag
    return (-1 if not flag.panel else PANELS.index(flag.panel), flag.order) if not flag.argument else (-2, flag.order)


def _parameter(option: Option, names: Names, tables: Collection[str]) -> Any:
    """Annotation of the parameter: type in the help, and Typer's option or argument."""
    flag = option.flag
    shown = _shown(option)
    more: dict[str, Any] = {} if shown is bool else {"parser": _as_typed(shown)}
    if shown in (int, float):
        # The help does not show technical limits; `check` enforces them.
        more |= {"min": flag.min, "max": flag.max if flag.max is None or flag.max < 2**31 else None}
    if not option.switch and (word := flag.metavar or ("" if flag.argument else option.placeholder)):
        more["metavar"] = word
    text = escape(names.in_flags(flag.help))
    if flag.argument:
        info: Any = typer.Argument(help=text, **more)
    else:
        if flag is CONFIG:
            more |= {"is_eager": True, "callback": config_reader(tables)}
        more |= {"is_eager": True} if flag is ISOLATED else {}
        declared = [_switch(option) if option.switch else f"--{option.name}", *filter(None, [flag.short])]
        info = typer.Option(
            *declared,
            help=text,
            rich_help_panel=flag.panel or None,
            envvar=option.variable,
            show_envvar=False,
            **more,
        )
    if option.several or option.listed:
        return Annotated[list[shown] if option.required else list[shown] | None, info]  # type: ignore[valid-type] # of run time
    return Annotated[shown | None if _default(option) is None else shown, info]


def _as_typed(shown: type) -> Callable[[Any], str]:
    """Parser that keeps words unchanged: `Option.read` has better errors than Typer.

    It gets the name of the type, which some versions of Typer show in the help.
    """

    def read(word: Any) -> str:
        return str(word)

    read.__name__ = shown.__name__
    return read


def _shown(option: Option) -> type:
    """Type in the help."""
    plain = option.base in (bool, int, float) and not option.flag.parse and not option.flag.none
    return option.base if plain else str


def _switch(option: Option) -> str:
    """Spellings of a switch: `--x/--no-x` if it is on or undecided by default, else one."""
    both = option.default is not False and not option.flag.only_off
    return f"--{option.name}/--no-{option.name}" if both else f"--{option.name}"


def _default(option: Option) -> Any:
    """Default for the help; it is not parsed."""
    value = option.default
    if value is MISSING or (value is None and not option.flag.none) or (value in ((), {})):
        return None
    if option.several:
        return [option.written(one) for one in value]
    if option.switch and option.flag.only_off:
        return False
    if option.listed:
        return [option.written(value)]
    return option.written(value) if _shown(option) is str else value


def resolved(options: Collection[Option], context: Any) -> list[tuple[Option, Any, str]]:
    """Value and origin of every option in a context. Raises `CamxError` for an invalid one."""
    names, found = Names(options), list[tuple[Option, Any, str]]()
    for option in options:
        origin = origin_of(context, option)
        try:
            value = _value(option, context.params.get(option.key), origin)
        except CamxError as error:
            raise CamxError(_message(error, names, {option.name: origin}, {})) from error
        found.append((option, option.default if value is MISSING else value, origin))
    return found


def origin_of(context: Any, option: Option) -> str:
    """Origin of a value: `flag`, `environment`, `config FILE` or `default`."""
    source = getattr(context.get_parameter_source(option.parameter), "name", "DEFAULT")
    if source == "DEFAULT_MAP":
        return f"config {context.params.get('config')}"
    return {"COMMANDLINE": "flag", "ENVIRONMENT": "environment"}.get(source, "default")


def _value(option: Option, typed: Any, origin: str) -> Any:
    """Value of a field from the words that Typer collected; MISSING keeps the default of the dataclass."""
    if origin == "default" or typed is None:
        return MISSING
    if option.switch:
        return not typed if option.flag.only_off else typed
    if not (option.several or option.listed):
        return option.read(str(typed))
    words = option.in_variable(os.environ[option.variable]) if origin == "environment" else typed
    read = [option.read(str(word)) for word in words]
    if option.listed:
        return tuple(itertools.chain.from_iterable(read))
    if option.table:
        return dict(read)
    return tuple(read if option.flag.argument else dict.fromkeys(read))


def _built(part: type, start: Any, values: Mapping[Flag, Any], filled: Mapping[str, Any]) -> Any:
    """Builds a dataclass with nested ones from values. start: an instance with the other values, or MISSING."""
    given = {}
    for one in dataclasses.fields(part):
        kind, notes = annotations_of(part)[one.name]
        if flag := flag_of(notes):
            if values[flag] is not MISSING:
                given[one.name] = values[flag]
        elif any(isinstance(note, Filled) for note in notes):
            given[one.name] = filled[one.name]
        elif dataclasses.is_dataclass(kind):
            inner = default_of(one) if start is MISSING else getattr(start, one.name)
            given[one.name] = _built(cast(type, kind), inner, values, filled)
    return part(**given) if start is MISSING else dataclasses.replace(start, **given)


def _message(error: CamxError, names: Names, origins: Mapping[str, str], values: Mapping[Option, Any]) -> str:
    """Error text with flags instead of fields, and with the origin of the invalid value unless it is a flag."""
    text, option = names.in_flags(str(error)), names.find(error.field) or quoted(str(error), values)
    origin = origins.get(option.name, "") if option else ""
    place = place_of(option, origin) if option else ""
    return f"{text} ({option.spelled()} is set by {place}.)" if option and place else text


def quoted(text: str, values: Mapping[Option, Any]) -> Option | None:
    """Option whose typed value an error quotes; None for no option or several.

    Most code that raises an error knows only the value, not its field.
    """
    found = [
        option
        for option, typed in values.items()
        if any(
            isinstance(word, str) and len(word) > 1 and repr(word) in text
            for word in (typed if isinstance(typed, (list, tuple)) else [typed])
        )
    ]
    return found[0] if len(found) == 1 else None


def place_of(option: Option, origin: str) -> str:
    """Variable, or file and line, of a value; "" for a flag or default."""
    path = origin.partition("config ")[2]
    return option.variable if origin == "environment" else f"{path}{line_of(path, option.name)}" if path else ""


def message_of(error: typer.TyperException) -> str:
    """Message of a Typer error; camx's own one for a switch that a variable or file sets to neither true nor false."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if context is None or parameter is None or not getattr(parameter, "is_flag", False) or parameter.envvar is None:
        return error.format_message()
    given = os.environ.get(parameter.envvar, (context.default_map or {}).get(parameter.name))
    return f"{parameter.opts[0]} {given!r}: give true or false."


def source_of(error: typer.TyperException) -> str:
    """Sentence with the variable, or the file and line, of a value that Typer rejected; "" for a flag."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if context is None or parameter is None or not hasattr(parameter, "opts"):
        return ""
    names = [name.removeprefix("--") for name in (*parameter.opts, *parameter.secondary_opts)]
    words = {word.partition("=")[0] for word in sys.argv}
    if words & {*parameter.opts, *parameter.secondary_opts}:
        return ""
    if parameter.envvar and parameter.envvar in os.environ:
        return f" ({parameter.opts[0]} is set by {parameter.envvar}.)"
    if parameter.name in (context.default_map or {}):
        path = str(context.params.get("config"))
        lines = [line for name in names if (line := line_of(path, name))]
        return f" ({parameter.opts[0]} is set by {path}{lines[0] if lines else ''}.)"
    return ""


def epilog(command: Command) -> str:
    """End of a help page: example command lines with comments, and the page of the documentation."""
    return "\n".join(Learning(command.examples, command.page).lines())
