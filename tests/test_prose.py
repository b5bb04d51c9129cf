"""Docstrings name the effect first; documents use the words of the field and no riddles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
#: Every folder of the package, and the scripts around it.
ROOMS = (
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "cam_cli").iterdir() if (path / "__init__.py").exists()),
    "benchmarks",
    "cli",
    "tests",
    "tools",
)
#: Indirect first words, and riddles: a value that is told, a fault that costs, a thing that is seen.
INDIRECT = re.compile(
    r"^(What|How|The same)\b|\btold\b|\bcosts? (its|the|an)\b|\b(is|are) seen\b"
    r"|\bthe one place\b|\bheader tells\b|\bWhether or not\b"
    r"|\btaken for\b|\bspeaks? (for|against)\b|\bgo(es)? on\b|\bas ever\b|\banew\b|\bmade again\b|\bput back\b|\bin silence\b"
    r"|\bhand(s|ed)? down\b|\bwhat lies under\b|\bin the open\b|\bcan be had\b"
)


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Every docstring of a file with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def indirect(source: str) -> list[int]:
    """Lines of docstrings that begin with an indirect word, or contain a riddle."""
    return [line for line, text in docstrings(source) if INDIRECT.search(text)]


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_say_the_effect_first(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert sum(len(list(docstrings(path.read_text("utf-8")))) for path in files) > len(files)
    assert [(str(path.relative_to(ROOT)), line) for path in files for line in indirect(path.read_text("utf-8"))] == []


def test_docstrings_of_the_top_modules_say_the_effect_first() -> None:
    files = sorted((ROOT / "cam_cli").glob("*.py"))
    assert [(path.name, line) for path in files for line in indirect(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What of a map.", True),
        ("How much of a map.", True),
        ("The same of a map.", True),
        ("Whatever of a map.", False),
        ("The rows of a map.", False),
        ("The user is told of a map.", True),
        ("A crash costs its image a row.", True),
        ("The peak is seen in a map.", True),
        ("Here is the one place of maps.", True),
        ("The size that a header tells.", True),
        ("Whether or not a map is blank.", True),
        ("A cat that is taken for a map.", True),
        ("The evidence that speaks for a map.", True),
        ("A run goes on with a map.", True),
        ("A lost map is made again.", True),
        ("Relevance is handed down to a map.", True),
        ("The channels of what lies under a map.", True),
        ("A map where a gradient can be had.", True),
        ("The size in the header of a map.", False),
        ("Measures the costs of a map.", False),
    ],
)
def test_an_indirect_docstring_is_found(text: str, found: bool) -> None:
    source = f'"""Maps."""\n\n\ndef rows() -> None:\n    """{text}"""\n'
    assert indirect(source) == [4] * found


class Phrase(NamedTuple):
    """A phrase that documents do not use, with an example and a plain sentence."""

    pattern: str
    bad: str
    good: str


PHRASES = (
    Phrase(r"\btold\b", "What is left out is told.", "The summary lists the images that it leaves out."),
    Phrase(r"\b(would|maps|figures|numbers|intervals|pairs) tell\b", "The maps tell.", "The heatmaps show the mark."),
    Phrase(r"\bcosts? (its|an|the) image\b", "It costs its image a row.", "A decoder crash fails that image only."),
    Phrase(r"\bin (words|silence)\b", "It is refused in words.", "It is an error that names the argument."),
    Phrase(r"\bsure(r|st)\b", "The surest mistakes come first.", "The most confident mistakes come first."),
    Phrase(r"\bas ever\b", "It runs as ever.", "It runs as without the flag."),
    Phrase(r"\b(speaks?|spoke) (for|against)\b", "What speaks for the class.", "The evidence for the class."),
    Phrase(r"\bput back\b", "The handler is put back.", "The handler is restored at the end."),
    Phrase(r"\blies? elsewhere\b", "Weights that lie elsewhere.", "Remote weights."),
    Phrase(r"\bunder way\b", "Images under way are bounded.", "Images in flight are bounded."),
    Phrase(r"\b(made|rendered) (again|anew|afresh)\b", "It is made again.", "camx writes it again."),
    Phrase(r"\bvouch", "The flag vouches for tensors.", "The flag lists tensors that may be left over."),
    Phrase(r"\btaken for\b", "Cats taken for dogs.", "Cats predicted as dogs."),
    Phrase(r"\bpictures?\b", "Every picture has a row.", "Every image has a row."),
    Phrase(r"(^|[.:|*] )What [^.?|]+\.", "What was not seen is dimmed.", "What does the layer compute?"),
    Phrase(r"\b(is|are|was|were) (said|heard)\b", "Differences are said.", "The output lists differences."),
)
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Pages that are generated from the help of the flags.
GENERATED = ("cli.md",)
WORDED = [ROOT / "CHANGELOG.md", *(page for page in DOCUMENTS if page.name not in GENERATED)]


def prose(text: str) -> str:
    """The sentences of a page, one paragraph per line: no generated parts, code or addresses."""
    text = re.sub(r"<!-- (\w+)\b[^>]*-->.*?<!-- /\1 -->", "", text, flags=re.DOTALL)
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "`…`", text))
    return re.sub(r"\n(?![\n*|#>!]|\d+\. )", " ", text)


def found_phrases(text: str) -> list[str]:
    """The forbidden phrases of a text, each with some words around it."""
    return [
        match[0].strip()
        for phrase in PHRASES
        for match in re.finditer(rf".{{0,40}}(?:{phrase.pattern}).{{0,20}}", prose(text), re.MULTILINE)
    ]


@pytest.mark.parametrize("page", WORDED, ids=[page.name for page in WORDED])
def test_documents_use_plain_words(page: Path) -> None:
    assert found_phrases(page.read_text("utf-8")) == []


@pytest.mark.parametrize("phrase", PHRASES, ids=[phrase.bad for phrase in PHRASES])
def test_a_forbidden_phrase_is_found(phrase: Phrase) -> None:
    around = "# Title\n\nOne sentence\nover two lines. {}\n\n```bash\npicture told\n```\n\n| `told` |\n"
    assert found_phrases(around.format(phrase.bad))
    assert found_phrases(around.format(phrase.good)) == []


def test_every_page_begins_with_a_title_and_a_sentence() -> None:
    """The first line of text says what a page is about."""
    for page in DOCUMENTS:
        blocks = re.sub(r"<!--.*?-->", "", page.read_text("utf-8"), flags=re.DOTALL).split("\n\n")
        title, first = [block.strip() for block in blocks if block.strip()][:2]
        assert re.fullmatch(r"# \S.*", title), page.name
        assert not first.startswith(("#", "|", "![", "* ", "- ", "```")), (page.name, first)
        assert re.search(r"[.:]($|\s)", first), (page.name, first)


#: Written by a benchmark, with tables and sentences in one.
MEASURED = ("coverage.md",)


def wide(text: str) -> list[int]:
    """The lines of paragraphs and lists that have more than 120 characters, from 1."""
    text = re.sub(r"^```.*?^```|<!-- (\w+)\b[^>]*-->.*?<!-- /\1 -->", _blank, text, flags=re.DOTALL | re.MULTILINE)
    lines = enumerate(text.splitlines(), 1)
    return [number for number, line in lines if len(line) > 120 and not line.lstrip().startswith(("|", "!", "["))]


def _blank(found: re.Match[str]) -> str:
    """As many empty lines as a part that is not checked."""
    return "\n" * found[0].count("\n")


@pytest.mark.parametrize("page", WORDED, ids=[page.name for page in WORDED])
def test_paragraphs_have_lines_of_120_characters(page: Path) -> None:
    if page.name not in MEASURED:
        assert wide(page.read_text("utf-8")) == []


def test_a_wide_line_is_found() -> None:
    long = "word " * 30
    assert wide(f"# Title\n\n* {long}\n\n```bash\n{long}\n```\n| {long} |\n\n{long}\n") == [3, 10]
    assert wide(f"<!-- table -->\n{long}\n<!-- /table -->\n{long}\n") == [4]


def entries(text: str) -> dict[str, list[str]]:
    """The entries of the changelog by their headings, each entry on one line."""
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)[1:]
    return {
        title: [" ".join(entry.split()) for entry in re.split(r"^\* ", body, flags=re.MULTILINE)[1:]]
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_changelog_has_each_entry_once_in_a_group() -> None:
    """A new entry stands below Unreleased, in the group that it belongs to."""
    found = entries((ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert list(found)[:2] == ["Changelog", "Unreleased"]
    assert list(found)[-1] == "0.1.0"
    assert found["Unreleased"] == []
    every = [entry for group in found.values() for entry in group]
    assert len(every) > 80
    assert sorted(every) == sorted(set(every))


def test_an_entry_that_stands_twice_is_found() -> None:
    assert entries("# A\n\nText.\n\n## B\n\n* one\n  two\n* three\n\n## C\n\n* one two\n") == {
        "A": [],
        "B": ["one two", "three"],
        "C": ["one two"],
    }
