"""Writes the tables of fields in `docs/results.md` from the comments beside the fields.

python -m tools.results_page            # write
python -m tools.results_page --check    # write nothing; exit code 1 if the page is out of date
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from cam_cli.outputs import answer_rows, caption_rows, epoch_rows, pixels_row, record, rows, spots
from cam_cli.outputs.shapes import Length, Range

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
#: Every type of the page, in its order.
TYPES = (
    *(
        rows.ImageRow,
        pixels_row.PixelsRow,
        rows.Prediction,
        rows.MapRow,
        rows.FoundBox,
        rows.Sketch,
        rows.Component,
        rows.Channels,
        caption_rows.CaptionRow,
        caption_rows.CaptionWord,
        answer_rows.AnswerRow,
        rows.WrittenFile,
        spots.SpotsRow,
        spots.MapSpots,
    ),
    *(record.RunRecord, record.Fingerprint, record.Rendering, record.Plan, record.Stage, record.ShardRecord),
    *(record.RunInputs, record.UnreadableRow, record.MisclassifiedRow, epoch_rows.EpochRow),
)
_FIELD = re.compile(r"((?:    #: .*\n)+)    (\w+): ")


def page(text: str) -> str:
    """The page with a new table between the marks of every type. Raises `ValueError` for a mark that is missing."""
    for kind in TYPES:
        start, end = f"<!-- {kind.__name__} -->\n", f"<!-- /{kind.__name__} -->\n"
        if text.count(start) != 1 or text.count(end) != 1:
            raise ValueError(f"{PAGE.name} needs {start.strip()} and {end.strip()}, once each")
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = f"{before}{start}{''.join(_lines(kind))}{end}{after}"
    return text


def _lines(kind: Any) -> Iterator[str]:
    yield f"{inspect.cleandoc(kind.__doc__)}\n\n| field | type | is |\n|---|---|---|\n"
    comments = _comments(kind)
    for name, hint in get_type_hints(kind, include_extras=True).items():
        always = ", *always*" if name in kind.__required_keys__ else ""
        yield f"| `{name}` | {words(hint)}{always} | {comments[name]} |\n"


def _comments(kind: Any) -> dict[str, str]:
    """Text of the `#:` lines above each field of a type and of its base types."""
    module = inspect.getsource(sys.modules[kind.__module__])
    found: dict[str, str] = {}
    name = kind.__name__
    while name != "TypedDict":
        body = re.search(rf"^class {name}\((\w+).*\n((?:    .*\n|\n)*)", module, re.MULTILINE)
        assert body, name
        for comment, field in _FIELD.findall(body[2]):
            found[field] = " ".join(line.strip().removeprefix("#: ") for line in comment.splitlines())
        name = body[1]
    return found


def words(hint: Any) -> str:
    """A type as text."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner, condition = words(arguments[0]), arguments[1]
        if isinstance(condition, Length):
            return f"{inner} of {condition.values} characters" if inner == "text" else f"{inner} ({condition.values})"
        return f"{inner}, {condition}" if isinstance(condition, Range) else inner
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin in (Union, types.UnionType):
        return ", or ".join(words(one) for one in arguments)
    if origin is list:
        return f"list of {words(arguments[0])}"
    if origin is dict:
        return f"object of {words(arguments[1])}"
    if is_typeddict(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "null", Any: "any"}[hint]


def main(argv: list[str]) -> int:
    """Writes or checks the page; returns the exit code."""
    before = PAGE.read_text("utf-8")
    after = page(before)
    if "--check" in argv:
        if before != after:
            print("docs/results.md is out of date. Run `python -m tools.results_page`.", file=sys.stderr)
        return int(before != after)
    PAGE.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
