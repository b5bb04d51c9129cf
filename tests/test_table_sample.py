"""The rows of a results table of a run with too many rows."""

from __future__ import annotations

import numpy as np
import pytest

from cam_cli.tracking.table_sample import TableSample

from .tracking_support import row


def test_wrong_images_come_first_then_blank_then_doubtful_then_some_of_each_class() -> None:
    rows = [
        *(row(f"a{i}") for i in range(50)),
        *(row("wrong little", prob=0.6, correct=False), row("wrong very", prob=0.99, correct=False)),
        *(row("blank", status="blank"), row("failed", status="failed")),
        *(row("doubt", prob=0.4, correct=True), row("more doubt", prob=0.2)),
        *(row(f"b{i}") for i in range(3)),
    ]
    seen = TableSample(9)
    for one in rows:
        seen.add(one)
    assert seen.chosen() == {
        "wrong very": "wrong",
        "wrong little": "wrong",
        "blank": "blank",
        "more doubt": "low confidence",
        "doubt": "low confidence",
        "a0": "spread over classes",
        "b0": "spread over classes",
        "a1": "spread over classes",
        "b1": "spread over classes",
    }
    assert seen.words() == "9 of 58 images (2 wrong, 1 blank, 2 low confidence, 4 spread over classes)"
    whole = TableSample(9)
    for one in rows[-4:]:
        whole.add(one)
    assert whole.words() == "4 of 4 images (1 low confidence)"


@pytest.mark.parametrize("cap", [0, 1, 7, 40, 1000])
def test_the_choice_is_its_definition(cap: int) -> None:
    random = np.random.default_rng(3)
    rows = [
        row(f"{random.integers(5)} {i}", prob=float(random.random()), label=f"l{random.integers(4)}",
            correct=bool(random.random() < 0.9), status=str(random.choice(["ok", "ok", "ok", "blank", "failed"])))
        for i in range(300)
    ]  # fmt: skip
    seen = TableSample(cap)
    for one in rows:
        seen.add(one)
    good = [one for one in rows if one["status"] != "failed"]
    wrong = sorted((o for o in good if not o["correct"]), key=lambda o: -o["top"][0]["prob"])
    right = [o for o in good if o["correct"]]
    blank = [o for o in right if o["status"] == "blank"]
    doubtful = sorted(
        (o for o in right if o["status"] == "ok" and o["top"][0]["prob"] < 0.5), key=lambda o: o["top"][0]["prob"]
    )
    rest = [o for o in right if o["status"] == "ok" and o["top"][0]["prob"] >= 0.5]
    classes = list(dict.fromkeys(o["label"] for o in rest))
    turns = [[o for o in rest if o["label"] == name] for name in classes]
    spread = [turn[place] for place in range(300) for turn in turns if place < len(turn)]
    assert list(seen.chosen()) == [o["image"] for o in [*wrong, *blank, *doubtful, *spread]][:cap]
