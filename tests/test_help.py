"""Snapshots of what every command declares: flags, types, defaults, variables, panels and help, in `tests/golden/help/`.

They come from the parsed declarations, not from the drawn help, so that a width or a version of Rich changes nothing.
A flag, a default or a variable that changes breaks the scripts of users. Where it is meant, write the snapshots again
and look at their difference:

    UPDATE_GOLDEN=1 python -m pytest tests/test_help.py
"""

from __future__ import annotations

import inspect
import os
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from typer.main import get_command

from cli.main import app

GOLDEN = Path(__file__).parent / "golden" / "help"
ROOT = Path(__file__).parents[1]
FUNCTIONS = {command.name or "": command.callback for command in app.registered_commands}
COMMANDS = sorted(FUNCTIONS)

Camx = Callable[..., int]


def type_name(annotation: Any) -> str:
    """`int`, `list[str]`, `a|b` for a choice; without `Annotated` and None."""
    if get_origin(annotation) is Annotated:
        return type_name(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(type_name(one) for one in get_args(annotation) if one is not type(None))
    if arguments := get_args(annotation):
        return f"{get_origin(annotation).__name__}[{', '.join(map(type_name, arguments))}]"
    return getattr(annotation, "__name__", str(annotation))


def limits(parameter: Any) -> str:
    """The smallest and the largest value of a number; Typer stores them on the parameter or on its type."""
    holders = (parameter, getattr(parameter, "type", None))
    found = {
        side: next((v for h in holders if (v := getattr(h, side, None)) is not None), None) for side in ("min", "max")
    }
    return ", ".join(f"{side} {value}" for side, value in found.items() if value is not None)


def one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def flags(parameter: Any) -> str:
    """The flags of an option; after a slash, the flag that switches it off."""
    return " / ".join(", ".join(sorted(some)) for some in (parameter.opts, parameter.secondary_opts) if some)


def described(parameter: Any, annotation: Any) -> Iterator[str]:
    """Declaration of one parameter, a fact per line."""
    is_option = parameter.param_type_name == "option"
    yield flags(parameter) if is_option else f"argument {parameter.metavar or parameter.name}"
    facts = {
        "type": type_name(annotation),
        "range": limits(parameter),
        "required": "yes" if parameter.required else "",
        "several": "yes" if parameter.nargs == -1 or getattr(parameter, "multiple", False) else "",
        "default": "" if parameter.default is None else repr(parameter.default),
        "variable": parameter.envvar or "",
        "panel": getattr(parameter, "rich_help_panel", None) or "",
        "hidden": "yes" if getattr(parameter, "hidden", False) else "",
        "help": one_line(getattr(parameter, "help", None)),
    }
    yield from (f"  {name}: {value}" for name, value in facts.items() if value)


def snapshot(name: str) -> str:
    """A command: its help, then its arguments and its options by name."""
    command = get_command(app).commands[name]
    signature = inspect.signature(FUNCTIONS[name], eval_str=True)
    entries = [
        "\n".join(described(parameter, signature.parameters[parameter.name].annotation))
        for parameter in command.params
        if parameter.name != "help"
    ]
    by_name = sorted(entries, key=lambda entry: (not entry.startswith("argument"), entry.lstrip("-")))
    return "\n\n".join([f"camx {name}\n  help: {one_line(command.help)}", *by_name]) + "\n"


def overview() -> str:
    """The program: its own options, and the purpose of each command."""
    group = get_command(app)
    own = ["\n".join(described(parameter, bool)) for parameter in group.params if "--version" in parameter.opts]
    commands = [f"{name}: {one_line(command.get_short_help_str(200))}" for name, command in group.commands.items()]
    help_names = ", ".join(group.context_settings["help_option_names"])
    return (
        "\n\n".join([f"camx\n  help: {one_line(group.help)}\n  help options: {help_names}", *own, "\n".join(commands)])
        + "\n"
    )


def check(path: Path, text: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_a_command_are_those_of_the_snapshot(name: str) -> None:
    check(GOLDEN / f"{name}.txt", snapshot(name))


def test_the_commands_are_those_of_the_snapshot() -> None:
    check(GOLDEN / "camx.txt", overview())
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted([*COMMANDS, "camx"])


def settings() -> list[str]:
    """Every `key = value` of the preset with all options, also those that are commented out there."""
    text = (ROOT / "configs" / "explain.toml").read_text("utf-8")
    return re.findall(r"^(?:# )?([a-z][a-z-]+ = .+)$", text, re.MULTILINE)


@pytest.mark.slow
def test_every_setting_of_the_full_preset_is_accepted(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    """Each setting alone passes up to the images, which do not exist."""
    assert len(settings()) > 50
    for setting in settings():
        key = setting.split(" = ")[0]
        others = {"model": 'model = "demo"', "engine": 'engine = "ray"' if key == "ray-address" else ""}
        Path("one.toml").write_text("\n".join([setting, *(text for name, text in others.items() if name != key)]))
        assert camx("explain", "nowhere", "--config", "one.toml") == 2, setting
        assert "'nowhere'" in capsys.readouterr().err, setting
