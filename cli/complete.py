"""Completes command lines for shells in a few milliseconds, from tables on disk, without Typer or torch.

Shells call it through the scripts of `camx --install-completion`. Typer, which imports every command, answers the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .tables import commands_table, model_names, network_table, run_classes

#: Variable with the request of the shell.
VARIABLE = "_CAMX_COMPLETE"

Found = Sequence[tuple[str, str]]


def answer(environment: Mapping[str, str]) -> tuple[str, int] | None:
    """Text for the shell and exit code; None if Typer must answer."""
    asked = environment.get(VARIABLE, "")
    write = _SHELLS.get(asked)
    if write is None:
        return None
    if asked == "complete_bash":
        words, last = _of_bash(environment.get("COMP_WORDS", ""), environment.get("COMP_CWORD", ""))
    else:
        words = split(environment.get("_TYPER_COMPLETE_ARGS", ""))
        last = words[-1] if words else ""
    if not words:
        return None
    table = commands_table()
    if table is None:
        from .table_makers import make_commands

        table = make_commands()
    return write(list(candidates(table, words[1:])), last, environment)


def candidates(table: Mapping[str, Any], words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields completions of the last word, each with its help. words: after the name of the program."""
    *before, last = words or [""]
    name = next((word for word in before if not word.startswith("-")), "")
    if not name:
        yield from ((one, command["help"]) for one, command in table["commands"].items() if one.startswith(last))
        yield from ((flag, "") for flag in table["flags"] if flag.startswith(last) and last)
        return
    command = table["commands"].get(name)
    if command is None:
        return
    rest = list(before[before.index(name) + 1 :])
    flags = {spelled: flag for flag in command["flags"] for spelled in flag["names"]}
    given = _given(rest, flags)
    open_flag = flags.get(rest[-1]) if rest and "--" not in rest else None
    if open_flag and open_flag["value"]:
        yield from _values(open_flag, last, given)
        return
    head, sign, tail = last.partition("=")
    if sign and head in flags and flags[head]["value"]:
        yield from ((f"{head}={value}", text) for value, text in _values(flags[head], tail, given))
        return
    if last.startswith("-") and "--" not in rest:
        for flag in command["flags"]:
            taken = not flag["many"] and any(spelled in given for spelled in flag["names"])
            yield from ((one, flag["help"]) for one in flag["names"] if one.startswith(last) and not taken)
        return
    arguments = command["arguments"]
    place = len(given[""])
    if arguments:
        yield from _values(arguments[min(place, len(arguments) - 1)], last, given)


def _given(words: Iterable[str], flags: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Values of the flags on the line by flag; those of the arguments under \"\"."""
    given: dict[str, list[str]] = {"": []}
    waiting = ""
    for word in words:
        if waiting:
            given[waiting].append(word)
            waiting = ""
            continue
        head, sign, tail = word.partition("=")
        if head in flags:
            names = flags[head]["names"]
            for spelled in names:
                given.setdefault(spelled, []).extend([tail] if sign else [])
            waiting = names[0] if flags[head]["value"] and not sign else ""
        else:
            given[""].append(word)
    return given


def _values(flag: Mapping[str, Any], last: str, given: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    head = ""
    used: set[str] = set()
    if flag["list"]:
        head, comma, last = last.rpartition(",")
        used, head = set(head.split(",")), head + comma
    words = [*flag["words"], *_known(flag["known"], given)]
    yield from ((head + word, "") for word in dict.fromkeys(words) if word.startswith(last) and word not in used)


def _known(kind: str, given: Mapping[str, list[str]]) -> Iterable[str]:
    """Names of models, or of layers and classes of the model on the line."""
    if not kind:
        return ()
    if kind == "models":
        return model_names()
    model = next((values[-1] for name in ("--model", "-m") if (values := given.get(name))), "")
    if model:
        return network_table(model).get(kind, ())
    return run_classes(given[""][0]) if kind == "classes" and given[""] else ()


def split(line: str) -> list[str]:
    """Splits an incomplete line into words; quotes may be open. The last word is empty after a space."""
    words, word, quote, quoted = list[str](), "", "", False
    characters = iter(line)
    for character in characters:
        if character == "\\" and quote != "'":
            word, quoted = word + next(characters, ""), True
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "'\"":
            quote, quoted = character, True
        elif character.isspace():
            if word or quoted:
                words.append(word)
            word, quoted = "", False
        else:
            word += character
    return [*words, word]


def _of_bash(text: str, number: str) -> tuple[list[str], str]:
    """Words up to the cursor, and the last one as typed. Bash splits words at colons and equal signs."""
    count = int(number) + 1 if number.isdigit() else 1
    parts = [*text.split("\n"), ""][:count]
    words = list[str]()
    for part in parts:
        if words and part and (part[0] in _BREAKS or words[-1][-1:] in _BREAKS):
            words[-1] += part
        else:
            words.append(part)
    return [split(word)[-1] for word in words], words[-1]


#: Characters at which bash splits unquoted words.
_BREAKS = frozenset(":=")


def _for_bash(found: Found, last: str, environment: Mapping[str, str]) -> tuple[str, int]:
    """Values as typed, without the part before the last split, which bash keeps."""
    if last[:1] in ("'", '"'):
        return "\n".join(value for value, _ in found), 0
    cut = max(map(last.rfind, _BREAKS)) + 1
    return "\n".join("".join(f"\\{c}" if c in _SPECIAL else c for c in value[cut:]) for value, _ in found), 0


_SPECIAL = frozenset(" \t'\"\\$&;()<>|*?[]{}#~`!")


def _for_zsh(found: Found, last: str, environment: Mapping[str, str]) -> tuple[str, int]:
    """Code that zsh evaluates."""
    if not found:
        return "_files", 0

    def word(value: str, text: str) -> str:
        shown = value.replace("\\", "\\\\").replace(":", "\\:") + (f":{text}" if text else "")
        return "'" + shown.replace("'", "'\\''") + "'"

    return f"local -a found; found=({' '.join(word(*one) for one in found)}); _describe -V values found", 0


def _for_fish(found: Found, last: str, environment: Mapping[str, str]) -> tuple[str, int]:
    """Lines with value, tab and help. For the question `is-args`, only the exit code: with 0 fish offers no files."""
    if environment.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        return "", 0 if found else 1
    return "\n".join(f"{value}\t{text}" if text else value for value, text in found), 0


_SHELLS: Mapping[str, Callable[[Found, str, Mapping[str, str]], tuple[str, int]]] = {
    "complete_bash": _for_bash,
    "complete_zsh": _for_zsh,
    "complete_fish": _for_fish,
}
