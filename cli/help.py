"""Help pages: what is typed after each flag instead of types of Python, examples, and where to read on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


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
            super().format_help(ctx, formatter)
        finally:
            ctx.command.epilog = learning
        if learning:
            typer.echo("\n".join(f" {line}".rstrip() for line in learning.splitlines()) + "\n")


class HelpfulGroup(TyperGroup):
    """The program itself, with the same help."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_types(super().get_params(ctx))


def without_types(parameters: list[Any]) -> list[Any]:
    """The parameters of a command. Switches take no value, and the name of an argument says what it is."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            parameter.display_type_rich = _nothing
    return parameters


def _nothing(ctx: Any) -> str:
    return ""
