"""`camx config`: shows the options of a command with their origins, or the JSON Schema of config files."""

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

#: Name of this command.
OWN = "config"


@dataclass(frozen=True)
class ConfigJob:
    """Options of `camx config`."""

    what: Annotated[
        Literal["show", "schema"],
        Flag("show (options with values and origins) or schema (JSON Schema of camx.toml).", argument=True),
    ]
    command: Annotated[str, Flag("Command; default: explain.", argument=True, order=1)] = ""
    changed: Annotated[bool, Flag("Show only options with other values than their defaults.")] = False
    # Separate flags, because they apply to the examined command.
    file: Annotated[str | None, Flag(CONFIG.help, name="config", example="camx.toml")] = None
    isolated: Annotated[bool, Flag(ISOLATED.help)] = False
    as_json: PrintJson = False


def config(job: ConfigJob) -> int:
    """Show the options of a command as they apply here, each with its origin; or the JSON Schema of camx.toml.

    Values come from the environment, and from the file of `--config` or one in this folder or above.
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
    # Resilient parsing would allow missing arguments, but also hide errors in the file.
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
    """Commands as Typer builds them, for parsing."""
    app = typer.Typer()
    for name, function in functions.items():
        app.command(name)(bind(function))
    return typer.main.get_command(app)


def _settings(
    values: Iterable[tuple[Option, Any, str]], *, changed: bool
) -> Iterator[tuple[Option, bool | str | list[str] | None, str]]:
    """Options with values as typed (None for no value) and origins."""
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
        "camx config show": "options of `camx explain` in this folder",
        "camx config show audit --changed": "changed options with their origins",
        "camx config schema > camx.schema.json": "for editors that check and complete camx.toml",
    },
    page="cli.md",
)
