"""Code in README and docs: every `camx` command line exists with its flags and values, and every Python block is run."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from cam_cli.errors import CamxError
from cli.bind import Function, bind
from cli.main import COMMANDS, run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(bash|console|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: Pages with Python blocks, and the tests that run them.
RUN = {
    "CONTRIBUTING.md": "tests/test_document_blocks.py",
    "README.md": "test_the_python_of_a_page_runs",
    "docs/activations.md": "tests/test_feature_logger.py",
    "docs/demo.md": "test_the_python_of_a_page_runs",
    "docs/library.md": "tests/test_library.py",
    "docs/own-network.md": "tests/test_own_code.py",
    "docs/recipes.md": "tests/test_document_blocks.py",
    "docs/results.md": "tests/test_document_blocks.py",
}
#: First words of shell commands other than camx: tools, and scripts of this repository with tests.
OTHERS = {
    "cd",
    "do",
    "done",
    "find",
    "for",
    "git",
    "lint-imports",
    "mypy",
    "pip",
    "python",
    "pytest",
    "ruff",
    "sbatch",
    "torchrun",
    "ROUNDS=1",
}


class Line(NamedTuple):
    """A shell command of a page."""

    page: str
    text: str


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, text in BLOCK.findall(page.read_text("utf-8")):
        if language in languages:
            yield text


def commands(text: str) -> Iterator[str]:
    """The simple commands of a shell block: without prompts and comments, split at pipes, `&&`, `;` and `do`."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        lexer = shlex.shlex(line.removeprefix("$ ").strip(), posix=True, punctuation_chars="|&;>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words: list[str] = []
        redirected = False  # a file follows >
        for word in [*lexer, ";"]:
            if not set(word) <= set("|&;>"):
                words.append(word)
                continue
            if words and words[0] == "do":
                words = words[1:]
            if words and not redirected:
                yield shlex.join(words)
            redirected = set(word) == {">"}
            words = []


LINES = [
    Line(str(page.relative_to(ROOT)), line)
    for page in PAGES
    for block in blocks(page, "bash", "console")
    for line in commands(block)
]


def camx_words(line: str) -> list[str]:
    """The words after `camx` in a command, also after `torchrun … camx` and in `sbatch --wrap 'camx …'`."""
    words = shlex.split(line)
    if "--wrap" in words:
        words = shlex.split(words[words.index("--wrap") + 1])
    return words[words.index("camx") + 1 :] if "camx" in words else []


CAMX = sorted({line for line in LINES if camx_words(line.text)})


@functools.cache
def parser() -> Any:
    """The command line of camx with commands that do nothing."""
    app = typer.Typer(add_completion=False)

    def stand_in(command: Function) -> Function:
        @functools.wraps(command)
        def nothing(**_: object) -> int:
            return 0

        return nothing

    for name, command in COMMANDS.items():
        app.command(name)(bind(stand_in(command.run)))
    return typer.main.get_command(app)


def accepted(words: list[str], folder: Path) -> None:
    """Parses and checks a command line as `camx` does, without running it. Reads files of `--config` as empty."""
    if "--config" in words:
        config = folder / "empty.toml"
        config.touch()
        words[words.index("--config") + 1] = str(config)
    parser().main(words, standalone_mode=False)


@pytest.mark.parametrize("line", CAMX, ids=[f"{line.page}: {line.text}" for line in CAMX])
def test_a_command_of_the_documents_exists_with_its_flags(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "8")
    # The documents also show packages of extras.
    monkeypatch.setattr("cam_cli.outputs.records.find_spec", lambda name: name)
    accepted(camx_words(line.text), tmp_path)


@pytest.mark.parametrize(
    "text", ["explain x --modle demo", "explian x --model demo", "explain x --model demo --top-k 0", "explain"]
)
def test_a_wrong_command_is_found(text: str, tmp_path: Path) -> None:
    with pytest.raises((CamxError, Exception), match=r"modle|explian|top-k|sources"):
        accepted(shlex.split(text), tmp_path)


def test_every_other_command_of_the_documents_is_a_known_tool() -> None:
    unknown = [line for line in LINES if not camx_words(line.text) and shlex.split(line.text)[0] not in OTHERS]
    assert unknown == []


def test_scripts_that_the_documents_name_exist() -> None:
    found = 0
    for line in LINES:
        words = shlex.split(line.text)
        if words[:2] == ["python", "-m"]:
            path = ROOT / words[2].replace(".", "/")
            assert path.with_suffix(".py").exists() or path.is_dir(), line
            found += 1
        elif words[0] == "python":
            assert (ROOT / words[1]).exists(), line
            found += 1
    assert found > 5


def test_every_python_block_is_run() -> None:
    pages = {str(page.relative_to(ROOT)) for page in PAGES if list(blocks(page, "python"))}
    assert pages == set(RUN)
    for page, test in RUN.items():
        source = Path(__file__).read_text() if test.startswith("test_") else (ROOT / test).read_text()
        assert (test if test.startswith("test_") else Path(page).name) in source


@pytest.mark.parametrize("page", [page for page, test in RUN.items() if test == "test_the_python_of_a_page_runs"])
def test_the_python_of_a_page_runs(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for block in blocks(ROOT / page, "python"):
        exec(compile(block, page, "exec"), {})


def test_the_index_of_the_docs_has_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = re.findall(r"\]\(([\w-]+\.md)\)", index.read_text("utf-8"))
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md") if page != index)


@pytest.mark.parametrize("folder", ["tools", "tests/fixtures"])
def test_the_page_of_a_folder_names_everything_in_it(folder: str) -> None:
    named = set(re.findall(r"`([\w.]+)/?`", (ROOT / folder / "README.md").read_text("utf-8")))
    inside = {path.name for path in (ROOT / folder).iterdir() if not path.name.startswith(("_", "."))}
    assert inside - {"README.md"} <= named


def test_exit_codes_are_the_same_on_both_pages() -> None:
    tables = []
    for page in (ROOT / "README.md", ROOT / "docs" / "cli.md"):
        (table,) = re.findall(r"^\| exit code \|.*?\n(?=\n)", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        tables.append(table.splitlines())
    assert tables[0] == tables[1]
    assert len(tables[0]) == 6


def test_the_readme_has_a_line_for_every_command() -> None:
    lines = {words[0] for line in LINES if line.page == "README.md" if (words := camx_words(line.text))}
    assert lines == set(COMMANDS)


def test_every_promise_names_a_test_that_is_there() -> None:
    """In docs/reliability.md, as a whole name or as its beginning with `…`."""
    files = {path.name: path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    tests = {name for text in files.values() for name in re.findall(r"def (test_\w+)", text)}
    named = re.findall(r"`(test_\w+(?:\.py|…)?)`", (ROOT / "docs" / "reliability.md").read_text("utf-8"))
    assert len(named) > 100
    known = {*files, *tests, *(name.removesuffix(".py") for name in files)}
    assert [
        name for name in named if not any(one == name or one.startswith(name.removesuffix("…")) for one in known)
    ] == []


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Every command in order, as a reader types them in a copy of the repository; exit code 0 each.

    The commands print the lines that the page shows; their figures may differ between machines.
    """
    (tmp_path / "sample_images").symlink_to(ROOT / "sample_images")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "tutorial.md"
    lines = [line for block in blocks(page, "bash") for line in commands(block)]
    for line in lines:
        words = shlex.split(line)
        if words[0] == "camx":
            assert run(words[1:]) == 0, line
        else:
            subprocess.run([sys.executable, *words[1:]], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    printed, digits = capfd.readouterr(), re.compile(r"\d[\d.,]*")
    lines = {digits.sub("0", line) for text in printed for line in text.splitlines()}
    fenced = re.findall(r"^```(\w*)\n(.*?)\n^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    shown = [text for language, text in fenced if not language]
    assert len(shown) == 4
    assert [text for text in shown if digits.sub("0", text) not in lines] == []
    named = re.findall(r"`([\w-]+/[\w./-]+\.(?:html|csv))`", page.read_text("utf-8"))
    assert named
    assert [name for name in named if not Path(name).exists()] == []
