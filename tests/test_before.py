"""Every case that 0.1.0 answered wrongly has another answer now, and the right one (`tests/before`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .before.all import CASES
from .before.case import Case, answered

ROOT = Path(__file__).parents[1]


@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:.*quant", "ignore:torch.ao", "ignore:.*reduce_range")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_of_0_1_0_was_wrong_and_that_of_now_is_right(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert answered(case) == case.now
    assert case.before != case.now


def test_questions_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.slow
def test_another_checkout_can_be_asked() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.wrong_before", str(ROOT)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{len(CASES)} right, 0 wrong, as in 0.1.0, 0 neither"
    assert json.loads(done.stdout.splitlines()[0].partition(": ")[2]) == [[10, 20, 30]]
