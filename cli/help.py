"""Help pages with placeholders instead of Python types, examples, and a link to the documentation."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

#: Narrowest terminal in columns for boxes; in narrower ones they would cut the names of flags.
_BOXES = 80


@dataclass(frozen=True)
class Learning:
    """End of a help page: example command lines with comments, and the page of the documentation."""

    examples: Mapping[str, str] = field(default_factory=dict)
    page: str = ""

    def lines(self) -> list[str]:
        """Lines of text without markup."""
        shown = ["Examples:"] if self.examples else []
        for command, what in self.examples.items():
            shown += [f"  # {what}", f"  {command}"]
        return [*shown, *(["", f"Learn more: docs/{self.page}"] if self.page else [])]


class HelpfulCommand(TyperCommand):
    """Command whose help shows no types for switches and puts each example on its own lines."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_types(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the page, then the examples, because an epilog would be wrapped like a paragraph."""
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
    """Program whose help shows no types for switches, and fits narrow terminals."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_types(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        if (width := shutil.get_terminal_size().columns) < _BOXES:
            typer.echo("\n".join(narrow_page(self, ctx, width)) + "\n")
        else:
            super().format_help(ctx, formatter)


def narrow_page(command: Any, context: Any, width: int) -> Iterator[str]:
    """Lines of a help page for a narrow terminal: each name on its own line, with its text below.

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
    """Removes the escapes of brackets for Rich."""
    return text.replace("\\[", "[")


def without_types(parameters: list[Any]) -> list[Any]:
    """Parameters of a command without types for switches and arguments."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            parameter.display_type_rich = _nothing
            parameter.get_usage_pieces = _argument(parameter)
    return parameters


def _argument(parameter: Any) -> Callable[[Any], list[str]]:
    """Argument in the usage line: `OUT`, `SOURCES...`, or `[PATTERN]` if optional."""
    name = parameter.metavar or f"{parameter.name.upper()}{'...' * (parameter.nargs != 1)}"

    def pieces(ctx: Any) -> list[str]:
        return [name if parameter.required else f"[{name}]"]

    return pieces


def _nothing(ctx: Any) -> str:
    return ""
