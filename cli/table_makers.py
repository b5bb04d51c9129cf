"""Builds completion tables from the program and the model libraries."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from cam_cli.options import Option, without_none

from .remembered import remember_models, remember_network, write_table

#: Longest help text in characters.
_HELP = 70


def make_commands() -> dict[str, Any]:
    """Builds and stores the table of commands."""
    from .bind import flags_of
    from .main import COMMANDS

    commands = {
        name: {"help": _short(command.run.__doc__ or ""), **_flags(flags_of(command.run))}
        for name, command in COMMANDS.items()
    }
    table = {"commands": commands, "flags": ["--version", "--verbose", "--help", "--install-completion"]}
    packages = {__name__.partition(".")[0], "cam_cli"}
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] in packages]
    write_table("commands", table, [path for module in modules if (path := getattr(module, "__file__", None))])
    return table


def make(name: str, model: str) -> None:
    """Builds one table in a separate process, at low priority."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    if model:
        make_network(model)
    else:
        make_models()


def make_models() -> None:
    """Stores the names of models, with and without their library."""
    from cam_cli.models.names import model_names

    remember_models(model_names())


def make_network(model: str) -> None:
    """Finds the layers and classes of a network and stores them."""
    from cam_cli.cams.target_layer.choose import list_layers
    from cam_cli.models.catalog import load_model

    from .network_flags import NetworkFlags

    network = load_model(NetworkFlags().spec(model))
    preprocessing = network.preprocessing
    reports = list_layers(
        network.module, preprocessing.input_size, preprocessing.channels, network.scores, network.task
    )
    remember_network(model, [one.name for one in reports if one.usable], network.classes.names)


def _flags(options: Sequence[Option]) -> dict[str, Any]:
    flags = [_entry(option) for option in options if not option.flag.argument]
    help_flag = {"names": ["--help"], "help": "Show the help and exit.", **_PLAIN}
    return {"flags": [*flags, help_flag], "arguments": [_entry(option) for option in options if option.flag.argument]}


_PLAIN: dict[str, Any] = {"value": False, "many": False, "list": False, "words": [], "known": ""}


def _entry(option: Option) -> dict[str, Any]:
    both = option.switch and option.default is not False and not option.flag.only_off
    names = [f"--{option.name}", *([f"--no-{option.name}"] if both else []), *filter(None, [option.flag.short])]
    return {
        "names": names,
        "help": _short(option.flag.help),
        "value": not option.switch,
        "many": option.several,
        "list": get_origin(option.base) is tuple,
        "words": words_of(option),
        "known": option.flag.known,
    }


def words_of(option: Option) -> list[str]:
    """Allowed or frequent words of a flag; none for a switch, a number or free text."""
    flag = option.flag
    kinds = [option.base, *get_args(without_none(option.base))]
    literal = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    return [*dict.fromkeys([*flag.words, *flag.choices, *literal, *filter(None, [flag.none])])]


def _short(text: str) -> str:
    """Shortens a text to about one sentence on one line."""
    first = " ".join(text.split("\n\n")[0].split())
    return first if len(first) <= _HELP else f"{first[: _HELP - 1].rsplit(' ', 1)[0]} …"
