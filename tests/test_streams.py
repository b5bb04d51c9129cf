"""Closed, full or broken standard streams: the work is complete, and no file gets the number of a stream."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import TINY
from .damaged import EXPLAINED, row, written

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")

#: Redirections that put a stream into each state.
STATES = {"well": ">stream{0}", "closed": ">&-", "full": ">/dev/full", "broken": ">&9"}
INPUTS = {"well": "</dev/null", "closed": "<&-", "write only": "0>stdin"}
FULL = "error: Standard output cannot be written: No space left on device."


def shell(cwd: Path, *argv: object, stdin: str = "well", stdout: str = "well", stderr: str = "well") -> int:
    """The exit code of `camx` with streams in these states; descriptor 9 is a pipe without a reader."""
    words = INPUTS[stdin] + " " + "".join(f" {n}{STATES[s].format(n)}" for n, s in ((1, stdout), (2, stderr)))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            ["bash", "-c", f'exec 9>&{writer}; exec "$@" {words} 9>&-', "-", sys.executable, "-m", "cli.main", *map(str, argv)],
            cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, pass_fds=[writer], timeout=120, check=False,
        ).returncode  # fmt: skip
    finally:
        os.close(writer)


def said(cwd: Path, number: int) -> str:
    return (cwd / f"stream{number}").read_text()


@pytest.mark.parametrize(
    ("stdin", "stdout", "stderr"),
    [("closed", "closed", "closed"), ("write only", "full", "broken")],
)
@pytest.mark.long
def test_a_run_does_its_work_whatever_its_streams_are(
    stdin: str, stdout: str, stderr: str, camx: Camx, images: Path, tmp_path: Path
) -> None:
    assert camx("explain", images, *TINY, "-q", "-b", "2", "-o", "as-ever") == 0
    code = shell(tmp_path, "explain", images, *TINY, "-b", "2", stdin=stdin, stdout=stdout, stderr=stderr)
    assert code == (2 if stdout == "full" else 0)
    assert Path("camx-out/predictions.csv").read_bytes() == Path("as-ever/predictions.csv").read_bytes()
    names = [{str(p.relative_to(out)) for p in Path(out).rglob("*")} for out in ("camx-out", "as-ever")]
    assert names[0] == names[1]
    lines = Path("camx-out/manifest.jsonl").read_text().splitlines()
    assert {json.loads(line)["status"] for line in lines} == {"ok"}


def test_data_that_are_lost_are_an_error(tmp_path: Path) -> None:
    written(tmp_path / "out", [row()], EXPLAINED)
    assert shell(tmp_path, "report", "out", stdout="full") == 2
    assert FULL in said(tmp_path, 2)
    assert shell(tmp_path, "--version", stdout="full") == 2
    assert FULL in said(tmp_path, 2)
    assert shell(tmp_path, "report", "out", stdout="broken") == 0, "its reader has seen enough"
    assert said(tmp_path, 2) == ""
    assert shell(tmp_path, "report", "nowhere", stdout="full", stderr="full") == 2


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        ("write only", "Standard input cannot be read"),
        pytest.param("closed", "No images in '-'", marks=pytest.mark.slow),
    ],
)
@pytest.mark.long
def test_paths_cannot_be_read_from_an_input_that_is_closed(stdin: str, words: str, tmp_path: Path) -> None:
    assert shell(tmp_path, "explain", "-", *TINY, stdin=stdin) == 2
    assert words in said(tmp_path, 2)


def test_letters_that_an_encoding_lacks_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    written(tmp_path / "blå", [row()], EXPLAINED)
    assert shell(tmp_path, "report", "blå") == 0
    assert said(tmp_path, 1).strip() == "bl\\xe5/report/index.html"


@pytest.fixture
def finished(camx: Camx, images: Path, tmp_path: Path) -> Path:
    """A finished run, and further inputs of the commands below."""
    (tmp_path / "names.txt").write_text("cat\ndog\n" + "".join(f"{n}\n" for n in range(998)))
    words = (*TINY, "--labels", "folder", "--class-names", "names.txt", "-q")
    assert camx("explain", images, *words, "--save", "overlay,spots", "-o", "run") == 0
    assert camx("explain", images, *words, "--no-report", "-o", "sharded", "--shard", "1/2") == 0
    boxes = "".join(f"cat/{n}.{'png' if n % 2 else 'jpg'},cat,0.1,0.1,0.6,0.6\n" for n in range(4))
    (tmp_path / "boxes.csv").write_text("image,class,left,top,right,bottom\n" + boxes)
    shutil.copytree(Path(__file__).parent / "fixtures" / "0.1.0" / "data", tmp_path / "data")
    return tmp_path


#: Every command, with its exit code if all streams work.
COMMANDS: dict[str, tuple[object, ...]] = {
    "explain": ("explain", "images", *TINY, "-o", "made"),
    "activations": ("activations", "images", *TINY, "-o", "made"),
    "train-gap": (
        "train-gap",
        "data",
        "--model",
        "test_resnet",
        "--no-pretrained",
        "--device",
        "cpu",
        "--epochs",
        1,
        "-o",
        "made",
    ),
    "push": ("push", "run", "--tensorboard"),
    "config": ("config", "show"),
    "doctor": ("doctor",),
    "layers": ("layers", "test_resnet"),
    "methods": ("methods", "test_resnet"),
    "models": ("models", "resnet*", "--json"),
    "report": ("report", "run"),
    "merge": ("merge", "sharded", "--json"),
    "audit": ("audit", "run", "--json"),
    "compare": ("compare", "run", "run"),
    "patterns": ("patterns", "run"),
    "evaluate": ("evaluate", "run", "--truth", "boxes.csv"),
    "export": ("export", "run", "--format", "coco"),
    "caption": ("caption", "images", "--model", "hf:captioner", "--device", "cpu", "-o", "made"),
    "ask": ("ask", "images", "--model", "hf:answerer", "--question", "where?", "--device", "cpu", "-o", "made"),
}


def test_every_command_is_in_the_table() -> None:
    from cli import main

    assert COMMANDS.keys() == main.COMMANDS.keys()


#: Starts commands in copies of one process, with streams as at the start of the interpreter: 99 is a traceback.
MANY = """
import os, sys, traceback
import torch, timm, cam_cli.distributed, cam_cli.report, cam_cli.pipeline.commands, cam_cli.training.run, cli.main

def put(number, state):
    if state == "closed":
        os.close(number)
        return None
    if state == "broken":
        reader, target = os.pipe()
        os.close(reader)
    else:
        where = {"well": f"stream{number}" if number else os.devnull, "full": "/dev/full", "write only": "stdin"}[state]
        target = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number or state == "write only" else os.O_RDONLY)
    os.dup2(target, number)
    os.close(target)
    return open(number, "w" if number else "r", closefd=False) if state != "write only" else sys.stdin

def child(states, argv):
    try:
        sys.stdin, sys.stdout, sys.stderr = [put(number, state) for number, state in enumerate(states)]
        sys.argv = ["camx", *argv]
        cli.main.main()
    except SystemExit as ended:
        sys.stdout.flush(), sys.stderr.flush()
        return ended.code
    except BaseException:
        with open("traceback", "w") as file:
            traceback.print_exc(file=file)
    return 99

for line in iter(sys.stdin.readline, ""):
    states, argv = eval(line)
    process = os.fork()
    if not process:
        os._exit(child(states, argv))
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("caption", "ask")])
def test_every_command_with_streams_in_every_combination(command: str, finished: Path) -> None:
    check_every_combination(command, finished)


@pytest.mark.slow
@pytest.mark.extras
def test_captions_with_streams_in_every_combination(finished: Path) -> None:
    pytest.importorskip("transformers")
    from .text_networks import saved

    saved("vit_bert", finished / "captioner")
    check_every_combination("caption", finished)


@pytest.mark.slow
@pytest.mark.extras
def test_answers_with_streams_in_every_combination(finished: Path) -> None:
    pytest.importorskip("transformers")
    from .answer_networks import saved

    saved("blip", finished / "answerer")
    check_every_combination("ask", finished)


def check_every_combination(command: str, finished: Path) -> None:
    """All 48 combinations of the states of three streams."""
    argv = [str(word) for word in COMMANDS[command]]
    ways = list(itertools.product(INPUTS, STATES, STATES))
    with subprocess.Popen(
        [sys.executable, "-c", MANY], cwd=finished, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as many:  # fmt: skip
        assert many.stdin is not None
        assert many.stdout is not None
        codes, printed = {}, ""
        for states in ways:
            shutil.rmtree(finished / "made", ignore_errors=True)
            many.stdin.write(f"{(states, argv)!r}\n")
            many.stdin.flush()
            codes[states] = int(many.stdout.readline())
            assert codes[states] != 99, (finished / "traceback").read_text()
            if states[1] == "well":
                printed = printed or said(finished, 1)
            if states[2] == "well":
                assert "Traceback" not in said(finished, 2), states
        many.stdin.close()
    wanted = 1 if command == "merge" else 0
    # A command without output loses nothing.
    lost = 2 if printed else 0
    assert codes == {states: wanted or lost if states[1] == "full" else wanted for states in ways}
    print(f"\n{command}: {len(ways)} combinations")
