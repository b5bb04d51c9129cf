"""Conditions of `--fail-if`: their parts and verdicts."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cam_cli.errors import CamxError
from cam_cli.gates import Condition, GateResult, append_step_summary, exit_code, gates_table, judge, junit

SAID = {
    "accuracy_gap > 0.04": ("accuracy_gap", ">", 0.04, False, "", ""),
    "  accuracy_gap>=0.04 by sex ": ("accuracy_gap", ">=", 0.04, False, "sex", ""),
    "flips > 5%": ("flips", ">", 0.05, True, "", ""),
    "flips > 5 % by site": ("flips", ">", 0.05, True, "site", ""),
    "accuracy_min < .9 by 'skin tone'": ("accuracy_min", "<", 0.9, False, "skin tone", ""),
    "accuracy_gap > 1e-2 by sex × site": ("accuracy_gap", ">", 0.01, False, "sex × site", ""),
    "pattern_share > 0.2 if same_place": ("pattern_share", ">", 0.2, False, "", "same_place"),
    "map_iou <= 0.3 by Größe if same": ("map_iou", "<=", 0.3, False, "Größe", "same"),
    "overconfidence < -0.1": ("overconfidence", "<", -0.1, False, "", ""),
    "cam_border_gap > 0.1 by by": ("cam_border_gap", ">", 0.1, False, "by", ""),
}


@pytest.mark.parametrize("text", SAID)
def test_a_condition_is_read(text: str) -> None:
    found = Condition.parse(text)
    said = (found.metric, found.operator, found.limit, found.percent, found.by, found.flag)
    assert said == (*SAID[text][:2], pytest.approx(SAID[text][2]), *SAID[text][3:])
    assert found.text == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", "accuracy_gap", "accuracy_gap > ", "accuracy_gap > 0,04", "accuracy_gap == 1", "a > nan", "a > inf", "a b > 1",
     "accuracy > 0.1 sex", "accuracy > 0.1 by", "a >> 1", "> 0.1"],
)  # fmt: skip
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CamxError, match=r"`fail_if` .*0\.04"):
        Condition.parse(text)


def test_a_mistyped_metric_names_the_nearest_one() -> None:
    condition = Condition.parse("acuracy_gap > 0.1")
    with pytest.raises(CamxError, match=r"no metric 'acuracy_gap'\. Did you mean accuracy_gap"):
        condition.split_form(["accuracy", "cam_border"], ["gap", "min"])
    with pytest.raises(CamxError, match=r"no metric 'xyz'\. There are broke, flips\."):
        Condition.parse("xyz > 1").expect_metric(["flips", "broke"])


def test_a_metric_is_parted_from_its_form() -> None:
    parted = {
        "accuracy": ("accuracy", ""),
        "accuracy_gap": ("accuracy", "gap"),
        "cam_border_min": ("cam_border", "min"),
    }
    for text, found in parted.items():
        assert Condition.parse(f"{text} > 0").split_form(["accuracy", "cam_border"], ["gap", "min"]) == found


def test_a_flag_that_means_nothing_here_is_refused() -> None:
    with pytest.raises(CamxError, match="the flag .sane. does not exist here. Give one of same, differs."):
        Condition.parse("map_iou < 0.3 if sane").expect_flag(["same", "differs"])
    with pytest.raises(CamxError, match="Leave .if same. out"):
        Condition.parse("map_iou < 0.3 if same").expect_flag()
    Condition.parse("map_iou < 0.3 if same").expect_flag(["same"])
    Condition.parse("map_iou < 0.3").expect_flag()


NAN = math.nan
JUDGED = [
    # condition, seen, low, high, proving harm, proving parity
    ("x > 0.04", 0.08, 0.05, 0.11, "fail", "fail"),
    ("x > 0.04", 0.08, 0.03, 0.11, "warn", "fail"),
    ("x > 0.04", 0.03, 0.00, 0.11, "pass", "fail"),
    ("x > 0.04", 0.03, 0.00, 0.04, "pass", "pass"),
    ("x >= 0.04", 0.03, 0.00, 0.04, "pass", "fail"),
    ("x >= 0.04", 0.04, 0.04, 0.05, "fail", "fail"),
    ("x > 0.04", 0.04, 0.04, 0.04, "pass", "pass"),
    ("x < 0.9", 0.8, 0.7, 0.85, "fail", "fail"),
    ("x < 0.9", 0.8, 0.7, 0.95, "warn", "fail"),
    ("x < 0.9", 0.95, 0.92, 0.99, "pass", "pass"),
    ("x < 0.9", 0.95, 0.85, 0.99, "pass", "fail"),
    ("x > 0.04", NAN, NAN, NAN, "warn", "fail"),
    ("x > 0.04", 0.08, NAN, NAN, "warn", "fail"),
    ("x > 0.05", 0.95 - 0.9, 0.95 - 0.9, 0.95 - 0.9, "pass", "pass"),
]


@pytest.mark.parametrize(("text", "seen", "low", "high", "harm", "parity"), JUDGED)
def test_verdicts(text: str, seen: float, low: float, high: float, harm: str, parity: str) -> None:
    condition = Condition.parse(text)
    assert judge(condition, seen, low, high) == harm
    assert judge(condition, seen, low, high, prove="parity") == parity


NASTY = GateResult(
    "a|b > 0.1 by <img src=x>", "fail", 'x\x00 "q" & `c` [l](http://e)\nsecond | line', 0.5, 0.2, NAN, ("a", "b"), 7
)
FINE = GateResult("c > 0.1", "warn", "seen 0.2, about 30 images would be enough to decide", 0.2, 0.05, 0.3, ("c",), 30)


def test_junit_has_a_test_per_gate_and_is_read_back() -> None:
    root = ElementTree.fromstring(junit("audit", [NASTY, FINE]))
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("camx audit", "2", "1")
    first, second = suite.findall("testcase")
    assert first.get("name") == NASTY.text
    failure, output = first.find("failure"), second.findtext("system-out")
    assert failure is not None
    assert failure.get("message", "").startswith('x� "q" & `c`')
    assert second.find("failure") is None
    assert output == f"warn: {FINE.sentence}"


def test_markdown_shows_names_as_they_are_and_obeys_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = gates_table([NASTY, FINE])
    lines = text.splitlines()
    assert len(lines) == 4
    assert all(line.replace(r"\|", "").count("|") == 4 for line in lines)
    assert "<img" not in text.replace(r"\<", "")
    assert "](http" not in text.replace(r"\]", "")
    assert gates_table([]) == ""
    append_step_summary(text)  # no variable, no file
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    append_step_summary(text)
    assert summary.read_text() == "before\n" + text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "folder"))
    with pytest.raises(CamxError, match="GITHUB_STEP_SUMMARY"):
        append_step_summary(text)


def test_only_a_failure_makes_the_exit_code_1() -> None:
    assert exit_code([NASTY, FINE]) == 1
    assert exit_code([FINE]) == 0
    assert exit_code([]) == 0


def test_a_result_is_json_without_nan() -> None:
    assert NASTY.as_dict()["high"] is None
    assert FINE.as_dict() == {
        "text": "c > 0.1", "verdict": "warn", "sentence": FINE.sentence, "seen": 0.2, "low": 0.05, "high": 0.3,
        "groups": ["c"], "needed": 30,
    }  # fmt: skip
