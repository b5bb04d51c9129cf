"""The terminal: one line at once, plain lines without a terminal, help without types, and errors that name their
source."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.bind import flags_of
from cli.config import line_of
from cli.main import COMMANDS, run
from cli.terminal import duration, is_live, stderr_console
from cli.variables import mistyped

from .conftest import TINY

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]


def on_terminal(cwd: Path, *argv: object, **variables: str) -> str:
    """All output on a terminal, standard output and error in order."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *map(str, argv)],
        cwd=cwd, stdin=terminal, stdout=terminal, stderr=terminal, env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    with os.fdopen(controller, "rb", 0) as screen:
        while True:
            try:
                data = screen.read(4096)
            except OSError:  # Linux raises this when the other side is closed
                break
            if not data:
                break
            seen += data
    assert process.wait() == 0, seen
    return seen.decode()


def test_a_log_with_forced_colours_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jupyter sets these for commands in a cell, and CI for whole jobs: each frame of a bar would be a line there."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    console = stderr_console()
    assert console.is_terminal  # to Rich, which then colours
    assert not is_live(console)
    assert console.soft_wrap
    monkeypatch.setattr(type(console.file), "isatty", lambda self: True)
    assert is_live(stderr_console())


@pytest.mark.slow
def test_a_terminal_gets_a_bar_and_a_dumb_one_lines(images: Path, tmp_path: Path) -> None:
    drawn = on_terminal(tmp_path, "explain", images, *TINY, TERM="xterm", COLUMNS="60")
    assert "\x1b[" in drawn
    assert "loading test_resnet" in drawn
    lines = on_terminal(tmp_path, "explain", images, *TINY, "-o", "dumb", TERM="dumb", COLUMNS="60").splitlines()
    assert lines[0].startswith("loading test_resnet")
    assert "\x1b" not in "".join(lines)
    assert max(len(line) for line in lines if "/" not in line) <= 60
    assert "7 of 7 images explained, 0 failed, 0 blank" in lines


def test_a_word_comes_before_torch_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from cli.main import run; from cli import terminal\n"
        "def said(self, what): print(what, 'torch' in sys.modules); raise SystemExit\n"
        "terminal.Reporter.starting = said\n"
        "run(['explain', 'x', '--model', 'demo'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "loading demo … False\n"


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_names_no_type_of_python(name: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    run([*filter(None, [name]), "--help"])
    shown = capsys.readouterr().out
    assert not re.findall(r"<[a-z][\w \[\]]*>", shown)
    command = COMMANDS.get(name or "")
    if command and command.examples:
        assert all(f"\n   {example}\n" in shown for example in command.examples)
        assert not command.page or f"Learn more: docs/{command.page}" in shown


def test_a_refused_value_names_its_line_and_its_variable(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for text, told in [
        ('model = "demo"\n\ntop_k = 0', "--top-k is set by c.toml, line 3."),
        ('model = "demo"\noverwrite = "z"', "--overwrite is set by c.toml, line 2."),
    ]:
        (tmp_path / "c.toml").write_text(text)
        assert camx("explain", "x", "--config", "c.toml") == 2
        assert told in capsys.readouterr().err
    monkeypatch.setenv("CAMX_OVERWRITE", "z")
    assert camx("explain", "x", "--model", "demo") == 2
    assert "--overwrite is set by CAMX_OVERWRITE." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", "nofile.csv"),
        ("class-names", "nonames.txt"),
        ("model", "resnet5"),
        ("layer", "nolayer"),
        ("target", "noclass"),
        ("device", "gpu"),
        ("checkpoint", "nothing.pth"),
    ],
)
def test_a_value_that_is_refused_late_names_its_source_too(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    words = ["explain", images, *(TINY if key != "model" else ("--no-pretrained",))]
    if key == "device":
        words = words[:-2]
    if key == "target":
        words += ["--class-names", "names.txt"]
        Path("names.txt").write_text("".join(f"class {i}\n" for i in range(1000)))
    Path("camx.toml").write_text(f"# options\n{key} = {value!r}\n")
    assert camx(*words) == 2
    assert f"(--{key} is set by camx.toml, line 2.)" in capsys.readouterr().err
    Path("camx.toml").unlink()
    assert camx(*words, f"--{key}", value) == 2
    assert "is set by" not in capsys.readouterr().err
    monkeypatch.setenv(f"CAMX_{key.replace('-', '_').upper()}", value)
    assert camx(*words) == 2
    assert f"(--{key} is set by CAMX_{key.replace('-', '_').upper()}.)" in capsys.readouterr().err


def test_a_switch_that_a_variable_sets_to_a_word(
    camx: Camx, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMX_JSON", "perhaps")
    assert camx("explain", "x", "--model", "demo") == 2
    assert "--json 'perhaps': give true or false. (--json is set by CAMX_JSON.)" in capsys.readouterr().err


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_on_a_narrow_terminal_cuts_no_name(
    name: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    run([*filter(None, [name]), "--help"])
    shown = capsys.readouterr().out
    page = shown.split("Examples:")[0].splitlines()
    assert max(map(len, page)) <= 44
    assert "…" not in "".join(page)
    assert "\\[" not in shown
    command = COMMANDS.get(name or "")
    for option in flags_of(command.run) if command else ():
        assert any(re.search(rf"{re.escape(option.spelled())}\b", line) for line in page), option.name


def test_a_log_gets_a_word_before_torch_is_imported() -> None:
    code = (
        "from cli.terminal import Reporter, announces_start, stderr_console\n"
        "Reporter(quiet=False, verbose=False, color=True).starting('loading …')\n"
        "import sys; sys.modules['torch'] = sys; assert not announces_start(stderr_console())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == "loading …\n"


def test_the_line_of_a_key(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: 1\n  top_k : 3\n")
    assert line_of(str(tmp_path / "c.yaml"), "top-k") == ", line 2"
    assert line_of(str(tmp_path / "c.yaml"), "top") == ""
    assert line_of(str(tmp_path / "none"), "top-k") == ""


def test_json_has_the_error_of_a_command_that_cannot_run(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["explain", "nowhere", "--model", "demo"], ["explain", "x", "--top-k"], ["audit", "nowhere"]):
        assert camx(*argv, "--json") == 2
        told = json.loads(capsys.readouterr().out)
        assert (told["state"], told["exit_code"]) == ("refused", 2)
        assert told["error"]


def test_a_mistyped_variable_is_a_warning_unless_quiet(
    camx: Camx, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMX_TOPK", "3")
    camx("models", "demo")
    assert "No option reads the variable CAMX_TOPK. Did you mean CAMX_TOP_K?" in capsys.readouterr().err
    camx("explain", "x", "--model", "demo", "-q")
    assert "CAMX_TOPK" not in capsys.readouterr().err
    assert list(mistyped({"CAMX_CACHE": "", "CAMX_MY_OWN_THING": "", "CAMX": ""}, [])) == []


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (310, "5 min 10 s"), (12000, "3 h 20 min")])
def test_durations_are_in_units_that_people_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text
