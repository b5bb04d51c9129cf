"""Builds the JSON Schema of config files from the declared flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any, Literal, get_args, get_origin

from cam_cli.options import Option, without_none

from .bind import flags_of
from .names import Names

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def document_schema(commands: Mapping[str, Callable[..., int]], *, alone: bool) -> dict[str, Any]:
    """Schema of `camx.toml`: options of all commands, and a table for each. alone: only one command."""
    tables = {name: _table(flags_of(function)) for name, function in commands.items()}
    head = {"$schema": _DRAFT, "title": "Options of camx"}
    if alone:
        return {**head, **next(iter(tables.values()))}
    shared: dict[str, Any] = {}
    for table in tables.values():
        for name, schema in table["properties"].items():
            known = shared.setdefault(name, schema)
            if known != schema:  # commands with different meanings of one key
                shared[name] = {"anyOf": [*known.get("anyOf", [known]), schema]}
    both = {name: {"anyOf": [shared[name], table]} for name, table in tables.items() if name in shared}
    return {**head, "type": "object", "properties": {**shared, **tables, **both}, "additionalProperties": False}


def _table(options: tuple[Option, ...]) -> dict[str, Any]:
    names = Names(options)
    properties: dict[str, Any] = {}
    for option in options:
        if option.name in ("config", "isolated"):
            continue
        properties[option.name] = {**_value(option), "description": names.in_flags(option.flag.help)}
        if option.switch and option.default is not False and not option.flag.only_off:
            properties[f"no-{option.name}"] = {"type": "boolean", "description": f"The opposite of {option.name}."}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _value(option: Option) -> dict[str, Any]:
    """Schema of a value in a file."""
    if option.switch:
        default = option.default if option.default in (True, False) else MISSING
        on = not option.flag.only_off if default is True else default
        return {"type": "boolean", **({} if default is MISSING else {"default": on})}
    if option.table:
        return {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "string"}}]}
    word = _word(option)
    if option.several or get_origin(without_none(option.type)) is tuple:
        return {"anyOf": [word, {"type": "array", "items": word}], **_default(option, several=True)}
    return {**word, **_default(option, several=False)}


def _word(option: Option) -> dict[str, Any]:
    """Schema of one word: a number with its range, a choice, or a text."""
    flag = option.flag
    choices = list(flag.choices) or [one for one in get_args(option.base) if get_origin(option.base) is Literal]
    if choices:
        return {"enum": choices}
    limits = {"minimum": flag.min, "maximum": flag.max}
    kinds = {int: "integer", float: "number"}
    if option.base in kinds and not flag.parse:
        number = {"type": kinds[option.base], **{name: limit for name, limit in limits.items() if limit is not None}}
        return (
            {"anyOf": [number, {"const": flag.none}, {"type": "string", "pattern": "^[0-9]+$"}]}
            if flag.none
            else number
        )
    return {"type": ["string", "number"]}


def _default(option: Option, *, several: bool) -> dict[str, Any]:
    value = option.default
    if value is MISSING or value is None or value == ():
        return {"default": option.flag.none} if value is None and option.flag.none else {}
    if several and isinstance(value, tuple):
        return {"default": [option.written(one) for one in value]}
    return {
        "default": value if isinstance(value, (int, float)) and type(value) in (int, float) else option.written(value)
    }
