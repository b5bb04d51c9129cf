"""`camx ask`: answers, table, journal, report and trackers; questions about all images and about single ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

from cam_cli.audit.answer_gates import judged_answers
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.statistics import wilson, z_of
from cam_cli.text.asked import is_true
from tests.answer_networks import saved

from .report_support import written

Camx = Callable[..., int]
RED, BLUE = "is there a red shape?", "where is the blue shape?"
SIZES = {"0.png": (160, 120), "1.png": (90, 150), "2.png": (160, 120)}


@pytest.fixture(scope="module")
def vilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("vilt", tmp_path_factory.mktemp("vilt"))


@pytest.fixture
def given(vilt: Path) -> tuple[object, ...]:
    return ("--model", f"hf:{vilt}", "--device", "cpu")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(folder / name)
    return folder


def answers(path: str = "out") -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path, "answers.csv").read_text().splitlines()))


def assert_same(one: str, other: str) -> None:
    """The answers of two folders are equal up to rounding, since their batches differ."""
    for a, b in zip(answers(one), answers(other), strict=True):
        for name, text in a.items():
            number = name in ("prob", "depends") or name.startswith("cam_")
            assert float(text) == pytest.approx(float(b[name]), abs=1e-4) if number else text == b[name]


def rows(path: str = "out") -> dict[str, dict]:
    return {row["image"]: dict(row) for row in RunFolder.read(path).rows()}


def test_a_run_leaves_answers_and_overlays(images: Path, given: tuple[object, ...], camx: Camx) -> None:
    assert camx("ask", images, *given, "--question", RED, "--question", BLUE, "-o", "out") == 0
    found = answers()
    assert [(one["image"], one["question"]) for one in found] == [(name, q) for name in SIZES for q in (RED, BLUE)]
    for one in found:
        assert (one["status"], one["error"], one["truth"], one["correct"]) == ("ok", "", "", "")
        assert one["answer"] in ("yes", "no", "red", "blue")
        assert 0 < float(one["prob"]) <= 1
        assert float(one["cam_peak"]) > 0
        with Image.open(Path("out", one["overlay"])) as overlay:
            assert overlay.size == SIZES[one["image"]]
    for name, row in rows().items():
        width, height = SIZES[name]
        short, long = sorted((width, height))
        assert sorted(row["maps"][0]["grid"]) == [4, int(64 * long / short + 0.5) // 16]
        assert row["seen"] == [0, 0, 1, 1]
        assert "attributes" not in row
        for answer in row["answers"]:
            assert answer.get("contrast", False) == (answer["answer"] in ("yes", "no"))
    record = json.loads(Path("out/run.json").read_text())
    assert record["fingerprint"]["command"] == RunFolder.read("out").command == "ask"
    assert (record["fingerprint"]["question"], record["fingerprint"]["method"]) == ([RED, BLUE], "attention-gradient")
    page = Path("out/report/index.html").read_text()
    assert json.dumps([RED, found[0]["answer"], 0], separators=(",", ":"))[:-1] in page.replace(", ", ",")


def test_the_same_command_again_does_nothing_and_another_question_needs_another_folder(
    images: Path, given: tuple[object, ...], camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("ask", images, *given, "--question", RED, "--no-report", "-o", "out") == 0
    before = Path("out/manifest.jsonl").read_bytes()
    assert camx("ask", images, *given, "--question", f" {RED} ", "--no-report", "-o", "out") == 0
    assert Path("out/manifest.jsonl").read_bytes() == before
    for more in (("--question", BLUE), ("--question", RED, "--no-contrast"), ("--question", RED, "--prompt", "{} ?")):
        assert camx("ask", images, *given, *more, "--no-report", "-o", "out") == 2
    assert "prompt" in " ".join(capsys.readouterr().err.split())


def test_questions_of_a_table_belong_to_their_images(
    images: Path, given: tuple[object, ...], camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    table = f"image,question,answer\n0.png,{RED},maybe\n0.png,{BLUE},\n2.png,{RED},\n0.png,{RED},perhaps\n"
    Path("q.csv").write_text(table)
    command = ("ask", images, *given, "--questions", "q.csv", "--no-report", "-o", "out")
    assert camx(*command) == 0
    said = capsys.readouterr()
    assert "0.0% of 1 answer right" in said.out
    assert "Images without a question, left out: 1." in " ".join(said.err.split())
    found = answers()
    assert [(one["image"], one["question"], one["truth"]) for one in found] == [
        ("0.png", RED, "maybe|perhaps"),
        ("0.png", BLUE, ""),
        ("2.png", RED, ""),
    ]
    assert [one["correct"] for one in found] == ["false", "", ""]
    # Another truth changes the row without another forward.
    journal, overlay = Path("out/manifest.jsonl").read_text(), Path("out", found[0]["overlay"])
    stamp = overlay.stat().st_mtime_ns
    Path("q.csv").write_text(table.replace("perhaps", f"{found[0]['answer'].upper()}."))
    assert camx(*command) == 0
    assert "100.0% of 1 answer right" in capsys.readouterr().out
    (again,) = Path("out/manifest.jsonl").read_text()[len(journal) :].splitlines()
    assert json.loads(again)["answers"][0]["correct"] is True
    assert overlay.stat().st_mtime_ns == stamp
    # A new question is answered.
    Path("q.csv").write_text(table.replace(f"2.png,{RED}", f"2.png,{BLUE}"))
    assert camx(*command) == 0
    assert [answer["question"] for answer in rows()["2.png"]["answers"]] == [BLUE]


def test_an_image_that_cannot_be_read_is_a_line_of_its_own(images: Path, given: tuple[object, ...], camx: Camx) -> None:
    (images / "1.png").write_bytes(b"no image")
    assert camx("ask", images, *given, "--question", RED, "-o", "out") == 1
    assert [(one["image"], one["status"], one["question"]) for one in answers()] == [
        ("0.png", "ok", RED),
        ("1.png", "failed", ""),
        ("2.png", "ok", RED),
    ]
    assert answers()[1]["error"]


def test_parts_of_a_run_are_joined(images: Path, given: tuple[object, ...], camx: Camx) -> None:
    Path("q.csv").write_text(f"image,question,answer\n0.png,{RED},yes\n1.png,{BLUE},no\n2.png,{RED},no\n")
    for shard in ("1/2", "2/2"):
        assert camx("ask", images, *given, "--questions", "q.csv", "-o", "parts", "--shard", shard) == 0
    assert camx("merge", "parts") == 0
    assert camx("ask", images, *given, "--questions", "q.csv", "-o", "whole") == 0
    assert_same("parts", "whole")


@pytest.mark.long
def test_two_devices_give_the_answers_of_one(images: Path, vilt: Path, camx: Camx) -> None:
    more = ("--model", f"hf:{vilt}", "--question", RED, "--question", BLUE, "--no-report")
    assert camx("ask", images, *more, "--device", "cpu,cpu", "-o", "two") == 0
    assert camx("ask", images, *more, "--device", "cpu", "-o", "one") == 0
    assert_same("two", "one")


@pytest.fixture
def judged(images: Path, given: tuple[object, ...], camx: Camx) -> tuple[object, ...]:
    """A command whose questions have true answers: five of six are right."""
    assert camx("ask", images, *given, "--question", RED, "--question", BLUE, "--no-report", "-o", "found") == 0
    rows = [f"{one['image']},{one['question']},{one['answer']}" for one in answers("found")]
    rows[-1] = rows[-1].rpartition(",")[0] + ",something else"
    Path("q.csv").write_text("\n".join(["image,question,answer", *rows]))
    return ("ask", images, *given, "--questions", "q.csv", "--no-report", "-o", "out")


def test_a_condition_on_the_answers_decides_the_exit_code(
    judged: tuple[object, ...], camx: Camx, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "step.md")
    gates = ("--fail-if", "accuracy < 0.9", "--fail-if", "accuracy > 0.1", "--fail-if", "accuracy < 0.4")
    assert camx(*judged, *gates, "--junit", "camx.xml", "--summary", "summary.md", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["answers_judged"], found["answers_right"]) == (6, 5)
    warned, failed, passed = found["gates"]
    assert [one["verdict"] for one in (warned, failed, passed)] == ["warn", "fail", "pass"]
    # Six answers about three images, of which 2, 2 and 1 are right, say as much as five independent ones: the variance
    # of the share is (1/9 + 1/9 + 4/9) / 6² · 3/2 = 1/36, and that of five is 5/6 · 1/6 / 5 = 1/36.
    assert (warned["seen"], warned["groups"]) == (pytest.approx(5 / 6, abs=1e-5), ["all answers"])
    limits = [float(one[0]) for one in wilson(np.array([25 / 6]), np.array([5.0]), z_of(0.05))]
    assert [warned["low"], warned["high"]] == pytest.approx(limits, abs=1e-5)
    assert "accuracy: all answers 83.3 % (n = 6), between" in warned["sentence"]
    suite = ElementTree.parse("camx.xml").getroot()[0]
    assert suite.attrib["name"] == "camx ask"
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("4", "1")
    for path in ("summary.md", "step.md"):
        text = Path(path).read_text("utf-8")
        assert "❌ fail" in text
        assert "⚠️ warn" in text
    # Again, with other gates: nothing is asked anew.
    assert camx(*judged, "--fail-if", "accuracy < 0.4") == 0
    assert "PASS accuracy < 0.4" in capsys.readouterr().out
    assert camx(*judged, "-q", "--fail-if", "prob < 0.99999") == 1
    assert "FAIL prob < 0.99999" in " ".join(capsys.readouterr().err.split())


def test_one_answer_per_image_has_the_interval_of_a_share(
    judged: tuple[object, ...], camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in Path("q.csv").read_text().splitlines() if BLUE in row]
    Path("q.csv").write_text("\n".join(["image,question,answer", *rows]))
    assert camx(*judged, "--fail-if", "accuracy < 0.7", "--json") == 0
    (gate,) = json.loads(capsys.readouterr().out)["gates"]
    low, high = wilson(np.array([2.0]), np.array([3.0]), z_of(0.05))
    assert (gate["low"], gate["high"]) == (
        pytest.approx(float(low[0]), abs=1e-5),
        pytest.approx(float(high[0]), abs=1e-5),
    )
    assert gate["verdict"] == "warn"


def test_questions_that_are_asked_often_are_judged_one_by_one(tmp_path: Path) -> None:
    """40 images with an easy and a hard question, and five with a rare one, which is too few to be judged."""
    folder = tmp_path / "out"
    rows = [
        {"image": f"{number}.png", "status": "ok", "answers": [
            {"question": "easy?", "answer": "yes", "logprob": -0.1, "depends": 0.0, "correct": True},
            {"question": "hard?", "answer": "yes", "logprob": -0.1, "depends": 0.0, "correct": number % 4 == 0},
            *[{"question": "rare?", "answer": "yes", "logprob": -0.1, "depends": 0.0, "correct": False}] * (number < 5),
        ]}
        for number in range(40)
    ]  # fmt: skip
    written(folder, rows, "ask")
    worst, gap = judged_answers(str(folder), ("accuracy_min < 0.5 by question", "accuracy_gap > 0.9 by question"), 0.95)
    assert (worst.verdict, worst.seen, worst.groups) == ("fail", 0.25, ("hard?",))
    assert (gap.verdict, gap.seen) == ("pass", 0.75)
    (every,) = judged_answers(str(folder), ("accuracy < 0.5",), 0.95)
    assert every.seen == pytest.approx(50 / 85)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--fail-if", "acuracy < 0.9"), "there is no metric 'acuracy'. Did you mean accuracy"),
        (("--fail-if", "accuracy_min < 0.9"), "answers are compared by question alone"),
        (("--fail-if", "accuracy < 0.9 by site"), "answers are compared by question alone"),
        (("--fail-if", "accuracy < 0.9 if same"), "the flag 'same' does not exist here"),
        (("--fail-if", "accuracy < 0.9", "--shard", "1/2"), "needs all images in one local folder"),
    ],
)
def test_conditions_that_no_run_satisfies_are_refused_before_it(
    judged: tuple[object, ...], camx: Camx, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert camx(*judged, *more) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("out").exists()


def test_accuracy_needs_true_answers(
    images: Path, given: tuple[object, ...], camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("q.csv").write_text(f"image,question,answer\n0.png,{RED},\n")
    gate = ("--fail-if", "accuracy < 0.9", "-o", "out")
    assert camx("ask", images, *given, "--question", RED, *gate) == 2
    assert "--fail-if 'accuracy < 0.9' needs true answers." in " ".join(capsys.readouterr().err.split())
    assert camx("ask", images, *given, "--questions", "q.csv", *gate) == 2
    assert "the column 'answer' of 'q.csv' has none" in " ".join(capsys.readouterr().err.split())
    assert camx("ask", images, *given, "--questions", "gone.csv", *gate) == 2
    assert "gone.csv" in capsys.readouterr().err
    assert not Path("out").exists()
    # A mean probability needs none.
    assert camx("ask", images, *given, "--question", RED, "--no-report", "--fail-if", "prob < 0", "-o", "out") == 0


def test_a_question_of_a_table_that_is_too_long_is_refused_with_its_line(
    images: Path, given: tuple[object, ...], camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the output folder is made, in a dry run too; the line is that where the row begins."""
    Path("q.csv").write_text(
        f'image,question\n\n0.png,"is there\na red shape?"\n1.png,{"red " * 60}\n2.png,{"red " * 60}\n'
    )
    for more in ((), ("--dry-run",), ("--shard", "1/2")):
        assert camx("ask", images, *given, "--questions", "q.csv", "-o", "out", *more) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "'q.csv', line 5: The text 'red red" in said
        assert "has 62 pieces, and the network reads 40" in said
        assert not Path("out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "camx ask` needs"),
        (("--question", RED, "--questions", "q.csv"), "camx ask` needs"),
        (("--question", " "), "--question is empty"),
        (("--questions", "gone.csv"), "gone.csv"),
        (("--questions", "unnamed.csv"), "has no column 'question'"),
        (("--questions", "other.csv"), "No image is named in"),
        (("--questions", "empty.csv"), "No row of --questions has a question. Fill its column 'question'"),
        (("--questions", "header.csv"), "'header.csv' has no rows below its header"),
        (("--question", RED, "--save", "spots"), "works only for maps of classes, not of answers"),
        (("--question", RED, "--prompt", "what?"), "has no {} for the question"),
        (("--question", "red " * 60), "has 62 pieces, and the network reads 40"),
        (("--question", RED, "--image-size", "32"), "takes each image at a size of its own"),
        (("--question", RED, "--decode", "device"), "decode"),
    ],
)
def test_what_cannot_be_is_refused(
    images: Path,
    given: tuple[object, ...],
    camx: Camx,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    message: str,
) -> None:
    Path("q.csv").write_text(f"image,question\n1.png,{RED}\n")
    Path("unnamed.csv").write_text("image,words\n1.png,a\n")
    Path("other.csv").write_text(f"image,question\n9.png,{RED}\n")
    Path("empty.csv").write_text("image,question\n1.png,\n2.png, \n")
    Path("header.csv").write_text("image,question\n")
    assert camx("ask", images, *given, *more, "-o", "out") == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("out").exists()


def test_answers_are_logged_one_by_one(images: Path, given: tuple[object, ...], camx: Camx) -> None:
    from cam_cli.tracking.answers_log import answers_log
    from cam_cli.tracking.tracker import ImageCell, Table

    Path("q.csv").write_text(f"image,question,answer\n0.png,{RED},maybe\n0.png,{BLUE},\n1.png,{RED},maybe\n")
    assert camx("ask", images, *given, "--questions", "q.csv", "--no-report", "-o", "out") == 0
    values, summary, _ = answers_log(RunFolder.read("out"), 2)
    table = values["answers"]
    assert isinstance(table, Table)
    assert len(table.rows) == 3
    assert (summary["images"], summary["judged"], summary["accuracy"]) == (2, 2, 0.0)
    cells = dict(zip(table.columns, table.rows[0]))
    assert (cells["question"], cells["truth"], cells["correct"]) == (RED, "maybe", False)
    assert isinstance(cells["overlay"], ImageCell)
    assert camx("push", "out", "--tensorboard") == 0
    assert list(Path("out/tensorboard").iterdir())


def test_an_answer_is_compared_without_case_spaces_and_marks() -> None:
    assert is_true("Yes.", "yes")
    assert is_true("two  cats", "a dog|two cats")
    assert not is_true("yes", "no")
    assert not is_true("yes, two", "yes")
