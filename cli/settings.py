"""`camx config`: the values that a command would run with, and the JSON Schema of its files of options."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import typer.main

from cam_cli.errors import unknown
from cam_cli.options import Flag, Option

from .bind import Command, bind, flags_of, place_of, resolved
from .commands import COMMANDS
from .config import CONFIG, ISOLATED, config_reader
from .models import PrintJson
from .schema import document_schema
from .terminal import out, out_json

if TYPE_CHECKING:
    from .bind import Function

#: The name of this command.
OWN = "config"


@dataclass(frozen=True)
class ConfigJob:
    """The question, and the command that it is about."""

    what: Annotated[
        Literal["show", "schema"],
        Flag("show: the options with their values and origins. schema: a JSON Schema of camx.toml.", argument=True),
    ]
    command: Annotated[str, Flag("The command; explain if none is given.", argument=True, order=1)] = ""
    changed: Annotated[bool, Flag("Show options alone that are not at their defaults.")] = False
    # Flags of their own: the files are those of the command that is asked about.
    file: Annotated[str | None, Flag(CONFIG.help, name="config", example="camx.toml")] = None
    isolated: Annotated[bool, Flag(ISOLATED.help)] = False
    as_json: PrintJson = False


def config(job: ConfigJob) -> int:
    """Show the options that a command would run with here, each with its origin; or the JSON Schema of camx.toml.

    Values come from the environment and from the file of `--config`, or the one that is found in this folder or above.
    """
    functions: dict[str, Function] = {name: command.run for name, command in COMMANDS.items()}
    if job.command and job.command not in functions:
        raise unknown("command", job.command, functions)
    if job.what == "schema":
        chosen = {job.command: functions[job.command]} if job.command else functions
        out_json(document_schema(chosen, alone=bool(job.command)))
        return 0
    name = job.command or "explain"
    words = [*(["--config", job.file] if job.file else []), *(["--isolated"] if job.isolated else [])]
    program = _program(functions)
    command = program.commands[name]
    parent = program.make_context("camx", [name], resilient_parsing=True)
    context = command.make_context(name, words, parent=parent, resilient_parsing=True)
    options = flags_of(functions[name])
    # Parsed so, a command may lack its arguments, but what is wrong with the file would be passed over as well.
    config_reader([option.name for option in options if option.table])(context, job.file)
    found = list(_settings(resolved(options, context), changed=job.changed))
    if job.as_json:
        out_json({option.name: {"value": value, "origin": origin} for option, value, origin in found})
        return 0
    lines = [f"{option.name} = {_toml(value)}" for option, value, _ in found]
    width = min(60, max(map(len, lines), default=0))
    for line, (_, _, origin) in zip(lines, found):
        out(f"{line:{width}}  # {origin}")
    return 0


def _program(functions: Mapping[str, Function]) -> Any:
    """The commands as Typer builds them, to parse what they would be given."""
    app = typer.Typer()
    for name, function in functions.items():
        app.command(name)(bind(function))
    return typer.main.get_command(app)


def _settings(
    values: Iterable[tuple[Option, Any, str]], *, changed: bool
) -> Iterator[tuple[Option, bool | str | list[str] | None, str]]:
    """Each option with its value as it is typed, None for no value, and the place that it comes from."""
    for option, value, origin in values:
        if option.flag.argument or option.name in ("config", "isolated") or (changed and origin == "default"):
            continue
        yield option, _typed(option, value), place_of(option, origin) or origin


def _typed(option: Option, value: Any) -> bool | str | list[str] | None:
    if option.required and value is option.default:
        return None
    if option.switch:
        return value if value is None else bool(value) is not option.flag.only_off
    if option.table:
        return [f"{key}={one}" for key, one in dict(value).items()]
    if option.several:
        return [option.written(one) for one in value]
    return None if value is None and not option.flag.none else option.written(value)


def _toml(value: bool | str | list[str] | None) -> str:
    return '""' if value is None else json.dumps(value, ensure_ascii=False)


COMMAND = Command(
    config,
    examples={
        "camx config show": "what `camx explain` would run with here",
        "camx config show audit --changed": "what is set, and where",
        "camx config schema > camx.schema.json": "for editors that check and complete camx.toml",
    },
    page="cli.md",
)
