"""Reads config files: their keys are names of flags, their values become the defaults of the command."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from typing import Any

import typer

from cam_cli.errors import CamxError, nearest
from cam_cli.options import BEHAVIOUR, Flag
from cam_cli.regular_files import CONFIG_BYTES, read_regular
from cam_cli.yaml_text import parse_yaml

from .discovery import PROJECT, discovered, own_table
from .toml_text import toml

#: Flag of a config file.
CONFIG = Flag(
    "TOML or YAML file of options; keys are the names of flags.",
    panel=BEHAVIOUR,
    order=-1,
    page="cli.md",
    example="camx.toml",
)

#: Flag that ignores discovered config files.
ISOLATED = Flag(
    "Ignore camx.toml and [tool.camx] in pyproject.toml of this folder and those above.",
    panel=BEHAVIOUR,
    order=-2,
    page="cli.md",
)


def read_config(path: str) -> dict[str, Any]:
    """Content of a TOML or YAML file of options; of a `pyproject.toml`, its table `[tool.camx]`."""
    kind = "YAML" if path.endswith((".yaml", ".yml")) else "TOML"
    try:
        data = read_regular(path, CONFIG_BYTES)
        content = (parse_yaml(data) or {}) if kind == "YAML" else toml(data.decode("utf-8"))
    except OSError as error:
        raise CamxError(f"--config {path!r} cannot be read: {error.strerror}. Check the path.") from error
    except ValueError as error:
        raise CamxError(f"--config {path!r} is no valid {kind}: {error}.") from error
    except RecursionError as error:
        raise CamxError(f"--config {path!r} is no valid {kind}: nested too deeply.") from error
    if not isinstance(content, dict):
        raise CamxError(f"--config {path!r} must hold `key = value` lines. Keys are the names of flags.")
    return own_table(content) if os.path.basename(path) == PROJECT else content


def line_of(path: str, name: str) -> str:
    """Returns `, line 3`, the line of a file that sets an option; "" if unknown."""
    key = "[-_]".join(map(re.escape, name.split("-")))
    try:
        text = read_regular(path, CONFIG_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    found = re.search(rf"^[ \t]*[\"']?{key}[\"']?[ \t]*[=:]", text, re.MULTILINE)
    return f", line {text.count(chr(10), 0, found.start()) + 1}" if found else ""


def config_reader(tables: Collection[str]) -> Callable[[typer.Context, str | None], str | None]:
    """Eager callback of `--config` that turns the values of a file into defaults. tables: flags with KEY=VALUE, whose
    values may be tables.

    Without `--config` it reads the file of the project, which may serve several commands: a table with the name of a
    command is only for that one, and keys of other commands are ignored.
    """

    def apply(context: typer.Context, path: str | None) -> str | None:
        named = path is not None
        if path is None:
            path = None if context.params.get("isolated") else discovered(os.getcwd())
        if path is None:
            return None
        parameters, others = _by_key(context.command), _of_other_commands(context)
        defaults = dict(context.default_map or {})
        content = read_config(path)
        values = {key: value for key, value in content.items() if not (key in others and isinstance(value, dict))}
        own = table if isinstance(table := content.get(str(context.info_name)), dict) else {}
        for key, value in {**values, **own}.items():
            flag = str(key).replace("_", "-")
            if flag not in parameters:
                shared = set() if named else set().union(*others.values())
                if flag in shared and key not in own:
                    continue
                hint = nearest(flag, {*parameters, *shared})
                raise CamxError(f"--config {path!r}: unknown key {key!r}.{hint}", "Keys are the names of flags.")
            if isinstance(value, dict) and flag not in tables:
                known = f" Only {' and '.join(tables)} can be a table." if tables else ""
                hint = f"Write it as {flag} = VALUE above all tables.{known}"
                raise CamxError(f"--config {path!r}: {flag!r} is a table.", hint)
            parameter = parameters[flag]
            defaults[parameter.name] = _as_typed(parameter, flag, value)
        context.default_map = defaults
        return path

    return apply


def _as_typed(parameter: Any, flag: str, value: Any) -> Any:
    """Converts a value of a config file to a value as Typer parses it from words."""
    if isinstance(value, dict):
        return [f"{key}={one}" for key, one in value.items()]
    if f"--{flag}" in parameter.secondary_opts and isinstance(value, bool):
        return not value
    several = parameter.nargs == -1 or getattr(parameter, "multiple", False)
    if isinstance(value, list):
        return value if several else ",".join(map(str, value))
    return [value] if several else value


def _of_other_commands(context: typer.Context) -> dict[str, set[str]]:
    """Keys of every command by name."""
    commands = getattr(context.parent.command, "commands", {}) if context.parent else {}
    return {name: {*_by_key(command)} for name, command in commands.items()}


def _by_key(command: Any) -> dict[str, Any]:
    """Parameters of a command by the names of their flags or arguments."""
    keys: dict[str, Any] = {}
    for parameter in command.params:
        opts = [*parameter.opts, *parameter.secondary_opts]
        flags = [flag.removeprefix("--") for flag in opts if flag.startswith("--")]
        for key in flags or [str(parameter.name)]:
            if key not in ("config", "isolated", "help"):
                keys[key] = parameter
    return keys
