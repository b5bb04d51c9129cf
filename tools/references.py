"""Writes the pages that list declarations of the code: commands, options, methods and names of the library.

python -m tools.references            writes docs/cli.md, configs/explain.toml, and parts of README.md, docs/methods.md
                                      and docs/library.md
python -m tools.references --check    writes nothing; exit code 1, and a line for each file that is out of date
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING
from itertools import groupby
from pathlib import Path
from typing import get_args

from cam_cli.cams.methods.names import METHOD_NAMES
from cam_cli.options import Option, without_none
from cli.bind import Command, flags_of
from cli.main import COMMANDS
from cli.names import Names

from .library_page import library_reference
from .methods_table import methods_table

ROOT = Path(__file__).parents[1]
#: Sentences of the README with the number of methods, without Grad-CAM and with it; and the number to add.
_COUNTS = ((re.compile(r"(?<=Grad-CAM and )\d+(?= other)"), -1), (re.compile(r"(?<=takes )\d+(?= methods)"), 0))


def pages() -> dict[Path, str]:
    """Every generated file with its content."""
    readme, methods, library = ROOT / "README.md", ROOT / "docs" / "methods.md", ROOT / "docs" / "library.md"
    return {
        ROOT / "docs" / "cli.md": command_page(COMMANDS),
        ROOT / "configs" / "explain.toml": config_file(COMMANDS["explain"]),
        readme: _counted(_between(readme.read_text("utf-8"), "options", readme_table(COMMANDS["explain"]))),
        methods: _between(methods.read_text("utf-8"), "methods", methods_table()),
        library: _between(library.read_text("utf-8"), "reference", library_reference()),
    }


def command_page(commands: Mapping[str, Command]) -> str:
    """`docs/cli.md`: synopsis, examples and options of every command."""
    parts = [_INTRODUCTION, " · ".join(f"[{name}](#camx-{name})" for name in commands)]
    for name, command in commands.items():
        options = flags_of(command.run)
        parts += [f"## camx {name}", inspect.getdoc(command.run) or "", _synopsis(name, options)]
        parts += [_examples(command)] * bool(command.examples)
        names = Names(options)
        for panel, group in groupby(options, key=_heading):
            rows = "\n".join(_row(option, names) for option in group)
            parts.append(f"{_HEAD.format(panel)}\n{rows}")
        parts += [f"Learn more: [{command.page.removesuffix('.md')}]({command.page})"] * bool(command.page)
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """# The command line

<!-- Written by `python -m tools.references` from the fields that declare the options; do not edit. -->

Every command of `camx` with its options. A flag overrides its environment variable, which overrides the file of
`--config`, which overrides the default. The keys of that file are the names of the flags ([all keys of `camx
explain`](../configs/explain.toml)); `run.json` has the source of each value. A list with commas can also be several
flags (`--save overlay --save array`). The variable of a repeatable flag has one value per line; spaces separate
them too if no value holds a space.

Without `--config`, options come from the nearest `camx.toml`, or `pyproject.toml` with a table `[tool.camx]`, in
this folder or above it, up to the root of the repository. Such a file serves all commands: each command reads the
keys that it has, and a table such as `[audit]` is for that command only. A run prints the file that it reads;
`--isolated` reads no file, and camx never reads a file that another user owns. `camx config show` prints all values
of a command with their sources, and `camx config schema` a JSON Schema for editors. Results depend on options
marked ●: another value of such an option needs another folder, or `--overwrite`.

Standard output has only results: a short summary that ends with the paths of the table and the report (on a
terminal with a label before each), one object with `--json`, nothing with `-q`. Everything else goes to standard
error.

| exit code | meaning |
|---|---|
| 0 | success |
| 1 | more images failed than `--max-failures` allows, `--fail-fast` stopped it, a gate failed, or a shard is missing |
| 2 | the command could not start or finish, or could not write to standard output (a reader may close it) |
| 130, 143, 129 | interrupted by Ctrl-C (SIGINT), SIGTERM or `--time-limit`, SIGHUP |

An interrupted command over images first writes all finished results, its table and its record, and the same command
continues. A second signal ends it at once. The first signal ends a command at once if it only reads a folder or has
not started its work. No file is half-written then, and the same command can run again."""

_HEAD = "| {} | default | variable | |\n|---|---|---|---|"


def _heading(option: Option) -> str:
    return "Arguments" if option.flag.argument else option.flag.panel or "Options"


def _synopsis(name: str, options: Iterable[Option]) -> str:
    words = [f"camx {name}", "[OPTIONS]"]
    for option in options:
        if option.flag.argument:
            word = option.spelled() + "..." * option.several
            words.append(word if option.required else f"[{word}]")
    return f"```\n{' '.join(words)}\n```"


def _examples(command: Command) -> str:
    width = max(map(len, command.examples))
    return "\n".join(["```bash", *(f"{line.ljust(width)}  # {what}" for line, what in command.examples.items()), "```"])


def _row(option: Option, names: Names) -> str:
    """An option in the tables of `docs/cli.md`."""
    flag = option.flag
    spelled = " ".join(part for part in (option.spelled(), option.placeholder) if part)
    ways = [spelled, *([f"--no-{option.name}"] * _two_ways(option)), *([flag.short] * bool(flag.short))]
    text = names.in_flags(flag.help) + f" {flag.range.capitalize()}." * bool(flag.range) + " ●" * flag.results
    text += _more(option)
    default = "required" if option.required else f"`{_default(option)}`" if _default(option) else ""
    variable = f"`{option.variable}`" if option.variable else ""
    return f"| {', '.join(f'`{way}`' for way in ways)} | {default} | {variable} | {text} |"


def _two_ways(option: Option) -> bool:
    return option.switch and option.default is not False and not option.flag.only_off


def _default(option: Option) -> str:
    """The default as the user types it; "" for a switch that is off and for None."""
    if option.default is MISSING or (option.default in (None, (), {}) and not option.flag.none):
        return ""
    if option.switch:
        return option.spelled() if option.default and not option.flag.only_off else ""
    if option.several:
        return " ".join(option.written(one) for one in option.default)
    return option.written(option.default)


def config_file(command: Command) -> str:
    """`configs/explain.toml`: every key with its default, or with an example where there is none."""
    options = [option for option in flags_of(command.run) if not option.flag.argument and option.name not in _OF_FILES]
    tables = [option for option in options if option.table]
    names, lines = Names(options), [_CONFIG_HEAD]
    for panel, group in groupby((one for one in options if one not in tables), key=lambda option: option.flag.panel):
        lines.append(f"\n# --- {panel.lower()}")
        for option in group:
            lines += [_comment(option, names), _key(option)]
    for option in tables:
        key, _, value = option.flag.example.partition("=")
        lines += [_comment(option, names), f"# [{option.name}]", f"# {key} = {value}"]
    return "\n".join(lines) + "\n"


#: Options that a file cannot hold, because they choose the file.
_OF_FILES = ("config", "isolated")
_CONFIG_HEAD = """\
# Every option of `camx explain` with its default or an example. Keys have the names of the flags.
#   camx explain ./images --config configs/explain.toml
# A flag on the command line overrides a CAMX_… variable, which overrides this file.
# Written by `python -m tools.references` from the fields that declare the options; do not edit."""


def _comment(option: Option, names: Names) -> str:
    text = names.in_flags(option.flag.help)
    return "\n" + "\n".join(textwrap.wrap(text, 116, initial_indent="# ", subsequent_indent="# "))


def _key(option: Option) -> str:
    """A line of a config file; commented out where there is no default."""
    given = _default(option) or (option.required and option.flag.example)
    if option.switch and option.default is not None:
        return f"{option.name} = {json.dumps(bool(option.default) and not option.flag.only_off)}"
    if option.switch:
        return f"# {option.name} = true"
    text = given or option.flag.example
    value = f"[{json.dumps(text)}]" if option.several else text if _is_number(option, text) else json.dumps(text)
    return f"{option.name} = {value}" if given else f"# {option.name} = {value}"


def _is_number(option: Option, text: str) -> bool:
    kinds = get_args(without_none(option.type)) or (option.base,)
    return (int in kinds or float in kinds) and text.replace(".", "", 1).isdecimal() and not option.flag.parse


def readme_table(command: Command) -> str:
    """The options of a command by panel, with their defaults."""
    options = flags_of(command.run)
    arguments = [f"`{option.spelled()}…`" for option in options if option.flag.argument]
    rows = []
    for panel, group in groupby((one for one in options if not one.flag.argument), key=lambda one: one.flag.panel):
        cells = (arguments if panel == "Input" else []) + [" · ".join(_cell(option) for option in group)]
        rows.append(f"| {panel.lower()} | {' · '.join(cells)} |")
    return "\n".join(["| | |", "|---|---|", *rows])


def _cell(option: Option) -> str:
    """A flag with its default or an example, other choices if they are few, and a link to its page."""
    value = "" if option.switch else _default(option) or option.flag.example
    others = (
        [choice for choice in option.flag.choices if choice not in value.split(",")]
        if len(option.flag.choices) < 7
        else []
    )
    ways = [option.spelled(value), *([f"--no-{option.name}"] * _two_ways(option)), *others]
    return ", ".join(f"`{way}`" for way in ways) + _more(option, "docs/")


def _more(option: Option, folder: str = "") -> str:
    page = option.flag.page
    return f" ([{page.removesuffix('.md')}]({folder}{page}))" * bool(page)


def _between(text: str, name: str, content: str) -> str:
    """A page with new content between its marks `<!-- NAME: … -->` and `<!-- /NAME -->`. Raises `ValueError` unless it
    has both once."""
    start, end = f"<!-- {name}: python -m tools.references -->", f"<!-- /{name} -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"a page needs {start} and {end}, once each")
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{content}\n{end}{rest.partition(end)[2]}"


def _counted(text: str) -> str:
    """The README with the number of methods in its sentences. Raises `ValueError` if it lacks one of them."""
    for sentence, less in _COUNTS:
        text, found = sentence.subn(str(len(METHOD_NAMES) + less), text)
        if found != 1:
            raise ValueError(f"the README needs {sentence.pattern} once")
    return text


def stale() -> Iterator[Path]:
    """The files that are out of date."""
    for path, content in pages().items():
        if not path.exists() or path.read_text("utf-8") != content:
            yield path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file is out of date")
    check = parser.parse_args().check
    found = list(stale())
    for path in found:
        print(f"{path.relative_to(ROOT)} is out of date" if check else path.relative_to(ROOT))
        if not check:
            path.write_text(pages()[path], "utf-8")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
