"""No command opens pipes, sockets or devices, for any argument that names them: an error, or a failed row."""

from __future__ import annotations

import ast
import builtins
import io
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.bind import flags_of
from cli.main import COMMANDS, run

from .conftest import TINY, picture
from .run_folders import image_row, run_folder

#: Flags whose values are not paths, and paths that camx neither reads nor writes.
WORDS = {
    "model-arg", "ignore-tensors", "mean", "std", "layer", "include", "exclude", "target", "size", "device", "shard", "ray-address",
    "wandb-project", "wandb-entity", "wandb-name", "wandb-group", "wandb-tags", "max-failures", "pattern", "by", "bins", "reference",
    "cluster", "metric", "positive", "fail-if", "prove", "on", "threshold", "min-area", "method", "format", "image-root",
    "image-column", "label-column", "image-size", "scores", "levels", "bands", "frames", "prompts", "class", "cover",
    "what", "command", "scale", "question", "prompt",
}  # fmt: skip
#: Arguments and flags that are paths, with the other words of the command; X is the special file.
TINY_RUN = ("images", *TINY, "-q")
CAPTIONER = ("--model", f"hf:{Path(__file__).parent / 'fixtures' / 'tiny_captioner'}", "--device", "cpu", "-q")
ENCODER = ("--model", "encoder.py:build", "--task", "similarity", "--device", "cpu", "-q")
ANSWERER = ("--model", f"hf:{Path(__file__).parent / 'fixtures' / 'tiny_answerer'}", "--device", "cpu", "-q")
CASES: dict[tuple[str, str], tuple[str, ...]] = {
    ("explain", "sources"): ("X", *TINY),
    ("explain", "sources @"): ("@X", *TINY),
    ("explain", "sources in a list"): ("@list.txt", *TINY),
    ("explain", "sources in a folder"): ("special", *TINY),
    ("explain", "sources tar"): ("X.tar", *TINY),
    ("explain", "model"): ("images", "--model", "X"),
    ("explain", "model py"): ("images", "--model", "X.py:build"),
    ("explain", "model like"): ("images", *ENCODER, "--target", "like:X.png"),
    ("explain", "model like a table"): ("images", *ENCODER, "--target", "like:X.csv"),
    ("explain", "model like a row"): ("images", *ENCODER, "--target", "like:pairs.csv"),
    ("explain", "target-mask"): ("images", "--model", "colours.py:build", "--target-mask", "X", "-q"),
    ("explain", "target-mask inside"): ("images", "--model", "colours.py:build", "--target-mask", "special", "-q"),
    ("explain", "checkpoint"): ("images", "--model", "test_resnet", "--checkpoint", "X"),
    ("explain", "class-names"): (*TINY_RUN, "--class-names", "X"),
    ("explain", "class-names json"): (*TINY_RUN, "--class-names", "X.json"),
    ("explain", "labels"): (*TINY_RUN, "--labels", "X"),
    ("explain", "output"): (*TINY_RUN, "-o", "X"),
    ("explain", "config"): (*TINY_RUN, "--config", "X"),
    ("explain", "config yaml"): (*TINY_RUN, "--config", "X.yaml"),
    ("activations", "sources"): ("X", *TINY),
    ("activations", "model"): ("images", "--model", "X"),
    ("activations", "checkpoint"): ("images", "--model", "test_resnet", "--checkpoint", "X"),
    ("activations", "output"): (*TINY_RUN, "-o", "X"),
    ("activations", "config"): (*TINY_RUN, "--config", "X"),
    ("train-gap", "data"): ("X", *TINY),
    ("train-gap", "model"): ("images", "--model", "X"),
    ("train-gap", "checkpoint"): ("images", "--model", "test_resnet", "--checkpoint", "X"),
    ("train-gap", "output"): ("images", *TINY, "-o", "X"),
    ("train-gap", "config"): ("images", *TINY, "--config", "X"),
    ("train-gap", "output state"): ("images", *TINY, "-o", "half", "--resume"),
    ("push", "output"): ("X", "--tensorboard"),
    ("layers", "model"): ("X",),
    ("layers", "checkpoint"): ("test_resnet", "--checkpoint", "X"),
    ("methods", "model"): ("X",),
    ("methods", "checkpoint"): ("test_resnet", "--checkpoint", "X"),
    ("report", "output"): ("X",),
    ("merge", "output"): ("X",),
    ("audit", "output"): ("X", "--by", "class"),
    ("audit", "groups"): ("run", "--groups", "X"),
    ("audit", "junit"): ("run", "--by", "class", "--junit", "X"),
    ("audit", "config"): ("run", "--config", "X"),
    ("compare", "a"): ("X", "run"),
    ("compare", "b"): ("run", "X"),
    ("compare", "groups"): ("run", "run2", "--groups", "X"),
    ("compare", "junit"): ("run", "run2", "--junit", "X"),
    ("compare", "output"): ("run", "run2", "-o", "X"),
    ("compare", "config"): ("run", "run2", "--config", "X"),
    ("evaluate", "sources run"): ("X", "--truth", "truth.csv"),
    ("evaluate", "sources"): ("X", *TINY),
    ("evaluate", "model"): ("images", "--model", "X"),
    ("evaluate", "checkpoint"): ("images", "--model", "test_resnet", "--checkpoint", "X"),
    ("evaluate", "class-names"): (*TINY_RUN, "--class-names", "X"),
    ("evaluate", "labels"): (*TINY_RUN, "--labels", "X"),
    ("evaluate", "truth"): ("run", "--truth", "X"),
    ("evaluate", "truth json"): ("run", "--truth", "X.json"),
    ("evaluate", "truth csv"): ("run", "--truth", "X.csv"),
    ("evaluate", "truth yaml"): ("run", "--truth", "X.yaml"),
    ("evaluate", "truth xml"): ("run", "--truth", "X.xml"),
    ("evaluate", "truth folder"): ("run", "--truth", "special", "--truth-format", "masks"),
    ("evaluate", "names"): ("run", "--truth", "truth.csv", "--names", "X"),
    ("evaluate", "output"): ("run", "--truth", "truth.csv", "-o", "X"),
    ("evaluate", "junit"): ("run", "--truth", "truth.csv", "--junit", "X"),
    ("evaluate", "config"): ("run", "--truth", "truth.csv", "--config", "X"),
    ("patterns", "output"): ("X",),
    ("patterns", "junit"): ("run", "--junit", "X"),
    ("audit", "summary"): ("run", "--by", "class", "--summary", "X"),
    ("compare", "summary"): ("run", "run2", "--summary", "X"),
    ("evaluate", "summary"): ("run", "--truth", "truth.csv", "--summary", "X"),
    ("patterns", "summary"): ("run", "--summary", "X"),
    ("explain", "summary"): (*TINY_RUN, "--summary", "X"),
    ("activations", "summary"): (*TINY_RUN, "--summary", "X"),
    ("explain", "junit"): (*TINY_RUN, "--junit", "X"),
    ("explain", "box-threshold"): (*TINY_RUN, "--box-threshold", "X"),
    ("caption", "sources"): ("X", *CAPTIONER),
    ("caption", "model"): ("images", "--model", "X"),
    ("caption", "text"): ("images", *CAPTIONER, "--text", "X.csv"),
    ("caption", "box-threshold"): ("images", *CAPTIONER, "--box-threshold", "X"),
    ("caption", "output"): ("images", *CAPTIONER, "-o", "X"),
    ("caption", "summary"): ("images", *CAPTIONER, "--summary", "X"),
    ("caption", "config"): ("images", *CAPTIONER, "--config", "X"),
    ("ask", "sources"): ("X", *ANSWERER, "--question", "where?"),
    ("ask", "model"): ("images", "--model", "X", "--question", "where?"),
    ("ask", "questions"): ("images", *ANSWERER, "--questions", "X.csv"),
    ("ask", "box-threshold"): ("images", *ANSWERER, "--question", "where?", "--box-threshold", "X"),
    ("ask", "output"): ("images", *ANSWERER, "--question", "where?", "-o", "X"),
    ("ask", "summary"): ("images", *ANSWERER, "--question", "where?", "--summary", "X"),
    ("ask", "junit"): ("images", *ANSWERER, "--question", "where?", "--junit", "X"),
    ("ask", "config"): ("images", *ANSWERER, "--question", "where?", "--config", "X"),
    ("config", "config"): ("show", "explain", "--config", "X"),
    ("patterns", "truth"): ("run", "--truth", "X"),
    ("patterns", "config"): ("run", "--config", "X"),
    ("export", "run"): ("X", "--format", "csv"),
    ("export", "output"): ("run", "--format", "csv", "-o", "X"),
    ("export", "config"): ("run", "--format", "csv", "--config", "X"),
}  # fmt: skip
ENDINGS = ("", ".tar", ".py", ".json", ".yaml", ".csv", ".xml", ".png")
KINDS = ("pipe", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("socket", "device")))


def test_every_flag_of_every_command_is_a_word_or_is_tried() -> None:
    """A new flag needs an entry in one of the tables, so that no path is forgotten."""
    tried = {(command, what.partition(" ")[0]) for command, what in CASES}
    texts = {
        (name, option.name)
        for name, command in COMMANDS.items()
        for option in flags_of(command.run)
        if option.base not in (int, float, bool) and not option.flag.choices
    }
    assert {one for one in texts if one[1] not in WORDS} == tried


#: Calls with fixed names, or after a check by `require_regular`.
OWN_FILES = {
    "cam_cli/report/page.py", "cam_cli/images/web.py", "cam_cli/images/worker_process.py", "cam_cli/machine.py", "cam_cli/pipeline/batchsize.py",
    "cam_cli/gates/markdown.py", "cam_cli/outputs/folder_lock.py", "cam_cli/outputs/remote.py", "cam_cli/models/remote_weights.py",
    "cam_cli/models/wandb_artifacts.py", "cam_cli/models/own_code.py", "cam_cli/images/decode.py", "cli/streams.py",
}  # fmt: skip


def test_no_file_is_opened_but_by_the_helper() -> None:
    """Neither by `open`, nor as text or an image by its path."""
    root = Path(__file__).parents[1]
    found = set()
    for path in [*(root / "cli").rglob("*.py"), *(root / "cam_cli").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("open", "io.open") or called.endswith((".read_text", ".read_bytes")) or (
                    called == "Image.open" and ast.unparse(node.args[0]) in ("path", "file_path", "name")
                ):  # fmt: skip
                    found.add(str(path.relative_to(root)))
    assert {path for path in found if "/demo/" not in path} <= OWN_FILES


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of all commands, and special files under every name."""
    place = tmp_path_factory.mktemp("special")
    for index in range(4):
        path = place / "images" / ("cat" if index < 2 else "dog") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed=index).save(path)
    for name in ("run", "run2"):
        run_folder(place / name, [image_row(f"{n}.jpg") for n in range(4)])
    for name, built in (("encoder", "Encoder(), 'similarity', ()"), ("colours", "Colours('out')")):
        text = f"from tests.task_networks import Colours, Encoder, network_of\n\ndef build():\n    return network_of({built})\n"
        (place / f"{name}.py").write_text(text)
    (place / "pairs.csv").write_text("image,reference\ncat/0.png,X.png\ncat/1.png,images/dog/3.png\n")
    (place / "truth.csv").write_text("image,label,x0,y0,x1,y1\n0.jpg,cat,1,1,9,9\n")
    return place


@pytest.fixture(params=KINDS)
def special(request: pytest.FixtureRequest, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Replaces every `X` by a special file; returns the names of all."""
    monkeypatch.chdir(place)
    for folder in ("special", "half"):
        (place / folder).mkdir()
    picture(40, 30).convert("L").point(lambda level: 255 * (level > 99)).save("special/0.png")
    names = [f"X{end}" for end in ENDINGS] + ["special/X.png", "half/training-state.pt"]
    open_sockets = []
    for name in names:
        if request.param == "pipe":
            os.mkfifo(name)
        elif request.param == "socket":
            open_sockets.append(socket.socket(socket.AF_UNIX))
            open_sockets[-1].bind(name)
        else:
            os.symlink("/dev/zero", name)
    (place / "list.txt").write_text("X.png\nimages/cat/0.png\n")
    yield {os.path.abspath(name) for name in names} | {"/dev/zero"}
    for one in open_sockets:
        one.close()
    for name in [*names, "list.txt", "special/0.png"]:
        os.remove(name)
    for folder in ("special", "half"):
        os.rmdir(folder)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pipes, sockets and devices that this process has opened."""
    found: list[str] = []

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **more: Any) -> Any:
            if isinstance(path, (str, bytes, os.PathLike)) and path != os.devnull and os.path.exists(path):
                mode = os.stat(path).st_mode
                if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                    found.append(os.fsdecode(path))
            return real(path, *rest, **more)

        return call

    for module, name in ((os, "open"), (builtins, "open"), (io, "open")):
        monkeypatch.setattr(module, name, noting(getattr(module, name)))
    return found


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """Ends a test that waits for a pipe, with a traceback."""

    def over(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_no_command_opens_one(special: set[str], opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for number, ((command, what), words) in enumerate(CASES.items()):
        opened.clear()
        signal.alarm(30)
        free = "-o" in words or command in ("push", "layers", "methods", "report", "merge", "audit")
        code = run([command, *words, *(() if free else ("-o", f"out-{number}"))])
        heard = capsys.readouterr()
        expected = PASSED_BY.get((command, what), (1, 2))
        said = code != 2 or (heard.err.startswith("error: ") and len(heard.err) < 1500)
        if opened or code not in expected or not said:
            wrong.append((command, what, code, opened[:], heard.err))
    assert wrong == []
    for path in special:
        assert not stat.S_ISREG(os.stat(path).st_mode), "none was replaced"


#: Exit codes if other files lie beside the special file.
PASSED_BY = {
    ("explain", "sources in a folder"): (0,),
    ("explain", "sources in a list"): (1,),
    ("evaluate", "truth folder"): (0,),
}


def test_the_summary_of_a_job_is_no_pipe(
    special: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "X")
    assert run(["audit", "run", "--by", "class", "--fail-if", "accuracy < 0.1"]) == 2
    assert "$GITHUB_STEP_SUMMARY 'X' cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["manifest.jsonl", "run.json", ".camx.lock", ".wandb-run", "metrics.csv", "evaluate/summary.json"]
)
@pytest.mark.parametrize("kind", ["pipe", pytest.param("link", marks=pytest.mark.slow)])
def test_nothing_special_in_an_output_folder_is_opened_or_followed(
    name: str,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a foreign folder that a run continues or a command reads."""
    monkeypatch.chdir(tmp_path)
    picture().save("a.png")
    outside = tmp_path / "outside"
    outside.write_text("")
    path = Path("out") / name
    run_folder(Path("out"), [image_row("a.png")])
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(outside)
    for words in (("report", "out"), ("merge", "out"), ("audit", "out", "--by", "class"), ("export", "out", "--format", "csv"),
                  ("explain", "a.png", *TINY, "-o", "out", "--no-report"), ("explain", "a.png", *TINY, "-o", "out", "--overwrite", "--no-report")):  # fmt: skip
        assert run(list(words)) in (0, 1, 2)
    capsys.readouterr()
    assert outside.read_text() == ""
    assert opened == []
