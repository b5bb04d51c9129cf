"""Completion in shells: candidates by position, from tables on the disk, without Typer and torch."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli.cams.methods.names import METHOD_NAMES
from cam_cli.maps.colormaps import COLORMAPS
from cli import tables
from cli.bind import flags_of
from cli.complete import answer, candidates, split
from cli.main import COMMANDS
from cli.remembered import remember_models, remember_network
from cli.table_makers import make_commands

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]
CLASSES = ("golden retriever", "it's a 50% dog: $HOME", "cat")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own that no process fills."""
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tables, "start", lambda code: pytest.fail("a process was started"))
    remember_models([("camx", "demo"), ("timm", "resnet50"), ("torchvision", "resnet50")])
    remember_network("resnet50", ["layer3", "layer4"], CLASSES)
    return tmp_path / "cache"


def offered(*words: str) -> list[str]:
    return [value for value, _ in candidates(make_commands(), words)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ex", ["explain", "export"]),
        ("explain x --colormap ", list(COLORMAPS)),
        ("explain x --colormap=t", ["--colormap=turbo"]),
        ("explain x --method ", list(METHOD_NAMES)),
        ("explain x --save overlay,h", ["overlay,heatmap"]),
        ("explain x --save overlay,o", []),
        ("explain x --evidence f", ["for"]),
        ("explain x --size o", ["original"]),
        ("explain x --batch-size ", ["auto"]),
        ("explain x --limit ", []),
        ("explain x --checkpoint ", []),
        ("explain ", []),
        ("explain x --dry", ["--dry-run"]),
        ("explain x --dry-run --dry", []),
        ("explain x --method cam --metho", ["--method"]),
        ("explain x -m res", ["resnet50"]),
        ("explain x --model timm/", ["timm/resnet50"]),
        ("layers d", ["demo"]),
        ("explain x -m resnet50 --layer ", ["auto", "layer4", "layer3"]),
        ("explain x -m resnet50 --target gol", ["golden retriever"]),
        ("explain x --model=resnet50 --target c", ["cat"]),
        ("explain x --target c", []),
        ("config s", ["show", "schema"]),
        ("config show au", []),
        ("nonsense --x", []),
        ("explain -- --m", []),
    ],
)
def test_what_is_offered(line: str, expected: list[str]) -> None:
    assert offered(*split(line)) == expected


def test_classes_of_a_finished_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"fingerprint": {"command": "explain"}, "classes": ["cat", "dog"]}')
    assert offered("audit", "run", "--positive", "") == ["cat", "dog"]
    for damaged in ("[", "[]", '{"classes": 3}', "{}"):
        (tmp_path / "run" / "run.json").write_text(damaged)
        assert offered("audit", "run", "--positive", "") == []


def test_every_word_that_is_offered_is_taken() -> None:
    for command in COMMANDS.values():
        for option in flags_of(command.run):
            for word in option.flag.words:
                option.read(word)


def test_layers_and_names_are_remembered_by_the_commands_that_list_them(camx: Camx, cache: Path) -> None:
    shutil.rmtree(cache)
    assert camx("layers", "test_resnet") == 0
    assert tables.network_table("test_resnet")["layers"]
    assert camx("models") == 0
    assert {"demo", "vit_base_patch16_224", "torchvision/alexnet"} <= set(tables.model_names())


def test_a_table_is_made_anew_where_a_source_has_changed(tmp_path: Path) -> None:
    source = tmp_path / "best.pth"
    source.write_bytes(b"weights")
    remember_network(str(source), ["layer4"], [])
    assert tables.network_table(str(source))["layers"] == ["layer4"]
    started: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "start", started.append)
        source.write_bytes(b"other weights")
        assert tables.network_table(str(source)) == {}
        assert tables.network_table(str(source)) == {}
        assert len(started) == 1, "one process at a time"
        for name in ("my_module.py:build", "nowhere.pth", "nonsense", "hf:owner/name"):
            assert tables.network_table(name) == {}
        assert len(started) == 1, "no code of the user is run"


def test_a_cache_that_cannot_be_used_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path / "file"))
    assert offered("explain", "x", "--colormap", "t") == ["turbo"]
    assert offered("explain", "x", "--model", "") == ["demo"]


def asked(shell: str, *words: str, **more: str) -> str:
    make_commands()
    bash = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    others = {"_TYPER_COMPLETE_ARGS": " ".join(words)}
    found = answer({"_CAMX_COMPLETE": f"complete_{shell}", **(bash if shell == "bash" else others), **more})
    assert found is not None
    return found[0]


def test_bash_gets_what_stands_behind_a_break_of_its_words() -> None:
    line = ("camx", "explain", "x", "-m", "resnet50", "--target")
    assert asked("bash", *line, "gol").split("\n") == ["golden\\ retriever"]
    assert asked("bash", *line, '"gol').split("\n") == ["golden retriever"]
    assert asked("bash", *line, "top", ":").split("\n") == ["3"]
    assert asked("bash", "camx", "explain", "--colormap", "=", "t") == "turbo"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_code_for_zsh_keeps_every_name(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    code = asked("zsh", "camx", "explain", "x", "-m", "resnet50", "--target", "")
    script = f"_describe() {{ printf '%s\\n' \"${{found[@]}}\"; }}; f() {{ eval {code_quoted(code)}; }}; f"
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
    names = [line.replace("\\:", ":") for line in done.stdout.splitlines()]
    assert names == ["predicted", "label", "top:3", *CLASSES]
    assert asked("zsh", "camx", "explain", "") == "_files"


def code_quoted(code: str) -> str:
    return "'" + code.replace("'", "'\\''") + "'"


def test_fish_learns_whether_there_are_candidates() -> None:
    make_commands()
    for line, code in (("camx explain x --col", 0), ("camx explain x", 1)):
        variables = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "is-args"}
        assert answer({"_CAMX_COMPLETE": "complete_fish", **variables}) == ("", code)
    lines = asked("fish", "camx", "explain", "x", "--colo").split("\n")
    assert lines == [f"--colormap\t{', '.join(COLORMAPS)}."]


def test_other_shells_are_left_to_typer() -> None:
    assert answer({"_CAMX_COMPLETE": "complete_powershell"}) is None
    assert answer({}) is None


def test_a_shell_completes_without_typer_and_torch(tmp_path: Path) -> None:
    make_commands()
    code = (
        "import sys, atexit; sys.argv = ['camx']\n"
        "atexit.register(lambda: print([name for name in ('typer', 'rich', 'torch', 'numpy') if name in sys.modules]))\n"
        "from cli.entry import main; main()"
    )
    program = tmp_path / "bin" / "camx"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    script = "export COMP_WORDS=$'camx\\nexplain\\n--colorm' COMP_CWORD=2 _CAMX_COMPLETE=complete_bash\ncamx"
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "--colormap\n[]\n", done.stderr
