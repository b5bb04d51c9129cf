"""Captions and answers in shards, on two devices and on a cluster: the files of one run, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("transformers")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

from tools.tiny_clip import scenes

Camx = Callable[..., int]
FIXTURES = Path(__file__).parent / "fixtures"
#: Per command: its network, its texts, and its tables.
COMMANDS = {
    "caption": ("tiny_captioner", ("--text", "texts.csv"), ("captions.csv", "words.csv")),
    "ask": ("tiny_answerer", ("--questions", "questions.csv"), ("answers.csv",)),
}
QUESTIONS = ("is there a red shape?", "what colour is the shape on the left?")


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A command, with six images of which one cannot be read, texts and questions in the working folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, (pixels, _) in enumerate(scenes(5, 11)):
        Image.fromarray(pixels).resize((120, 90 + number)).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"nothing")
    (tmp_path / "texts.csv").write_text("image,text\n1.png,a red shape\n4.png,a blue shape and a green shape\n")
    lines = [f"{number}.png,{question},yes" for number in range(5) for question in QUESTIONS]
    (tmp_path / "questions.csv").write_text("\n".join(["image,question,answer", *lines, f"broken.png,{QUESTIONS[0]},"]))
    return str(request.param)


def words_of(command: str) -> tuple[str, ...]:
    network, texts, _ = COMMANDS[command]
    common = ("--model", f"hf:{FIXTURES / network}", "-b", "1", "-j", "1", "-q", "--no-report", "--max-failures", "1")
    return (command, "photos", *common, *texts)


def files_of(out: str) -> set[str]:
    return {str(path.relative_to(out)) for path in Path(out).rglob("*")}


def assert_equal(command: str, out: str, whole: str) -> None:
    """The tables and overlays are equal byte for byte, and so is what the record says of the results."""
    for name in COMMANDS[command][2]:
        assert Path(out, name).read_bytes() == Path(whole, name).read_bytes(), name
    overlays = [name for name in files_of(whole) if name.startswith("overlays") and name.endswith(".png")]
    assert len(overlays) >= 5
    for name in overlays:
        assert Path(out, name).read_bytes() == Path(whole, name).read_bytes(), name
    assert files_of(out) == files_of(whole)
    records = [json.loads(Path(one, "run.json").read_text()) for one in (out, whole)]
    for key in ("state", "images", "ok", "failed", "blank", "fingerprint"):
        assert records[0][key] == records[1][key], key
    assert (records[0]["images"], records[0]["failed"]) == (6, 1)


def test_shards_merged_are_the_run_as_a_whole(command: str, camx: Camx) -> None:
    words = (*words_of(command), "--device", "cpu")
    assert camx(*words, "-o", "whole") == 0
    for shard in ("2/2", "1/2"):
        assert camx(*words, "-o", "out", "--shard", shard) == 0
    assert_equal(command, "out", "whole")
    parts = json.loads(Path("out/run.json").read_text())["shards"]
    assert [part["shard"] for part in parts] == ["1/2", "2/2"]
    assert all(0 < part["images"] < 6 for part in parts)
    # The merged folder is a finished run: only the image that failed is tried again.
    journal = Path("out/manifest.jsonl").read_text()
    assert camx(*words, "-o", "out") == 0
    more = Path("out/manifest.jsonl").read_text().removeprefix(journal)
    assert {json.loads(line)["image"] for line in more.splitlines()} <= {"broken.png"}


@pytest.mark.long
def test_two_devices_leave_what_one_does(command: str, camx: Camx) -> None:
    words = words_of(command)
    assert camx(*words, "--device", "cpu", "-o", "one") == 0
    assert camx(*words, "--device", "cpu,cpu", "-o", "two") == 0
    assert_equal(command, "two", "one")


@pytest.mark.extras
@pytest.mark.slow
def test_a_cluster_leaves_what_one_machine_does(command: str, camx: Camx) -> None:
    pytest.importorskip("ray")
    words = (*words_of(command), "--device", "cpu")
    assert camx(*words, "-o", "one") == 0
    assert camx(*words, "-o", "ray", "--engine", "ray") == 0
    assert_equal(command, "ray", "one")


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.parametrize("command", ["ask"], indirect=True)
def test_a_question_that_is_too_long_ends_the_run_on_a_cluster_too(
    command: str, camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    Path("questions.csv").write_text(f"image,question\n0.png,{QUESTIONS[0]}\n1.png,{'red ' * 60}\n")
    assert camx(*words_of(command), "--device", "cpu", "-o", "ray", "--engine", "ray") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "'questions.csv', line 3: The text 'red red" in said
    assert "Traceback" not in said
    assert not Path("ray").exists()
