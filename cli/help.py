"""Help pages: what is typed after each flag instead of types of Python, examples, and where to read on."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

#: Columns of a terminal below which boxes would cut the names of flags.
_BOXES = 80


@dataclass(frozen=True)
class Learning:
    """The end of a help page: command lines with what they do, and the document that tells more."""

    examples: Mapping[str, str] = field(default_factory=dict)
    page: str = ""

    def lines(self) -> list[str]:
        """Lines of text without markup."""
        shown = ["Examples:"] if self.examples else []
        for command, what in self.examples.items():
            shown += [f"  # {what}", f"  {command}"]
        return [*shown, *(["", f"Learn more: docs/{self.page}"] if self.page else [])]


class HelpfulCommand(TyperCommand):
    """A command whose switches have no type in the help, and whose examples stand on lines of their own."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_types(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the page, then the examples: an epilog would be wrapped like a paragraph."""
        learning = ctx.command.epilog
        ctx.command.epilog = None
        try:
            if (width := shutil.get_terminal_size().columns) < _BOXES:
                typer.echo("\n".join(narrow_page(self, ctx, width)) + "\n")
            else:
                super().format_help(ctx, formatter)
        finally:
            ctx.command.epilog = learning
        if learning:
            typer.echo("\n".join(f" {line}".rstrip() for line in learning.splitlines()) + "\n")


class HelpfulGroup(TyperGroup):
    """The program itself, with the same help."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_types(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        if (width := shutil.get_terminal_size().columns) < _BOXES:
            typer.echo("\n".join(narrow_page(self, ctx, width)) + "\n")
        else:
            super().format_help(ctx, formatter)


def narrow_page(command: Any, context: Any, width: int) -> Iterator[str]:
    """The lines of a help page for a narrow terminal: each name on its own line, its text below it.

    Lines are at most `width` characters long, except where a single word is longer.
    """

    def wrapped(text: str, indent: int) -> Iterator[str]:
        margin = " " * indent
        yield from textwrap.wrap(
            plain(text), max(width, 20), initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
        )

    yield from wrapped(command.get_usage(context), 0)
    yield ""
    for paragraph in (command.help or "").split("\n\n"):
        yield from wrapped(paragraph, 0)
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        if record := parameter.get_help_record(context):
            title = "Arguments" if parameter.param_type_name == "argument" else "Options"
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or title, []).append(record)
    for name, one in getattr(command, "commands", {}).items():
        panels.setdefault("Commands", []).append((name, one.get_short_help_str(limit=1000)))
    for title, records in panels.items():
        yield from ("", f"{title}:")
        for name, text in records:
            yield f"  {plain(name)}"
            yield from wrapped(text, 6)


def plain(text: str) -> str:
    """Text whose brackets are escaped for Rich, as they are."""
    return text.replace("\\[", "[")


def without_types(parameters: list[Any]) -> list[Any]:
    """The parameters of a command. Switches take no value, and the name of an argument says what it is."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            parameter.display_type_rich = _nothing
            parameter.get_usage_pieces = _argument(parameter)
    return parameters


def _argument(parameter: Any) -> Callable[[Any], list[str]]:
    """An argument in the usage line: `OUT`, `SOURCES...`, or `[PATTERN]` where it may be left out."""
    name = parameter.metavar or f"{parameter.name.upper()}{'...' * (parameter.nargs != 1)}"

    def pieces(ctx: Any) -> list[str]:
        return [name if parameter.required else f"[{name}]"]

    return pieces


def _nothing(ctx: Any) -> str:
    return ""
