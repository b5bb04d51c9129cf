"""Numbers in messages: the plural of one is one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cam_cli.sentences import counted

ROOT = Path(__file__).parents[1]
#: Nouns that messages count.
NOUNS = (
    "boxes|channels|classes|columns|devices|epochs|files|groups|images|labels|layers|lines|maps|objects|others|pairs|"
    "rows|shards|steps|tensors|workers"
)
PLURAL = re.compile(rf"\{{\}} ({NOUNS})\b")
#: Rates, and the progress `3/16 images`, need no singular.
USUAL = re.compile(r"images per second|\{\}/\{\} images")
#: Files with sentences that are only about several, or where {} is no number.
SEVERAL = (
    "cam_cli/cams/tracing/pixel_scores.py",
    "cam_cli/cams/tracing/scores.py",
    "cam_cli/models/weights.py",
    "cam_cli/outputs/result_pictures.py",
    "cam_cli/outputs/shards.py",
)


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (2000, ("image",), "2,000 images"),
        (1, ("class", "classes"), "1 class"),
        (3, ("class", "classes"), "3 classes"),
        (1, ("image has", "images have"), "1 image has"),
    ],
)
def test_a_number_with_its_noun(number: int, words: tuple[str, ...], text: str) -> None:
    assert counted(number, *words) == text


def _placeholder(part: ast.expr) -> str:
    """Constant text; {} for a value that may be any number; '' for a value in quotes or a constant."""
    if isinstance(part, ast.FormattedValue):
        constant = isinstance(part.value, ast.Name) and part.value.id.isupper()
        return "''" if constant or part.conversion == ord("r") else "{}"
    return str(part.value) if isinstance(part, ast.Constant) else ""


def plurals(source: str) -> Iterator[int]:
    """Lines of f-strings in which a number of any size stands before a plural."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            text = "".join(map(_placeholder, node.values))
            if PLURAL.search(USUAL.sub("", text)):
                yield node.lineno


def test_no_message_says_1_images() -> None:
    files = [*(ROOT / "cam_cli").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]
    names = {path: str(path.relative_to(ROOT)) for path in files}
    found = [f"{names[path]}:{line}" for path in files for line in plurals(path.read_text("utf-8"))]
    assert [one for one in found if not one.startswith(SEVERAL)] == []


def test_a_plural_of_any_number_is_found() -> None:
    assert list(plurals('f"{n} images failed"\nf"{n:,} rows"\nf"{counted(n, 0)} failed"\nf"all images"')) == [1, 2]


#: Words of messages that a user has to decode: riddles, and *picture* for the image of the user.
DECODED = re.compile(
    r"\b[Pp]ictures?\b|\bnothing says\b|\banew\b|\bas ever\b|\b(is|are) told\b|\bhas no meaning\b"
    r"|\btaken for\b|\bsure(r|st)\b|\brecursion\b|\bspeaks? (for|against)\b|\bdifferent are\b|\bgo(es)? on\b"
    r"|\bcosts? (its|an|the)\b|\b(made|rendered) again\b|\bput back\b|\btells? |\bis asked\b"
)
#: Texts in the scripts of the pages: comments, and strings in quotes.
PAGE_TEXT = re.compile(r"//[^\n]*|/\*.*?\*/|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`", re.DOTALL)


def riddles(source: str) -> Iterator[int]:
    """Lines of texts of several words, other than docstrings, with a word of `DECODED`."""
    tree = ast.parse(source)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in alone:
            continue
        if " " in node.value.strip() and DECODED.search(node.value):
            yield node.lineno


def page_riddles(source: str) -> list[str]:
    """Texts of several words in a script of a page with a word of `DECODED`."""
    texts = (match[0] for match in PAGE_TEXT.finditer(source))
    return [text for text in texts if " " in text.strip() and DECODED.search(re.sub(r"\$\{[^}]*\}", "", text))]


def test_messages_need_no_decoding() -> None:
    files = [*(ROOT / "cam_cli").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]
    assert [f"{path.relative_to(ROOT)}:{line}" for path in files for line in riddles(path.read_text("utf-8"))] == []


def test_scripts_of_pages_need_no_decoding() -> None:
    files = sorted((ROOT / "cam_cli" / "report" / "page" / "scripts").rglob("*.js"))
    assert len(files) > 30
    assert [(path.name, text) for path in files for text in page_riddles(path.read_text("utf-8"))] == []


def test_a_riddle_in_a_message_is_found() -> None:
    source = (
        '"""Of pictures told anew."""\nf"the picture of {x}"\nsay("all are told")\nsay("picture")\nsay("an image of x")'
        '\nsay("cats taken for dogs")\nsay("the surest ones")\nsay("what speaks for it")\nsay("it tells why")'
    )
    assert list(riddles(source)) == [2, 3, 6, 7, 8, 9]


def test_a_riddle_in_a_script_is_found() -> None:
    source = (
        "const a = 'picture'; // the picture below\nh('p', `${classes[a]} taken for ${picture}`);\n/* An image. */\n"
        "const b = details.picture ? 'an image' : `${details.picture} of it`;"
    )
    assert page_riddles(source) == ["// the picture below", "`${classes[a]} taken for ${picture}`"]
