"""Figures of the report against slow definitions: rounding, precision and recall, calibration, the scatter."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cam_cli.report import build_report
from cam_cli.report.rounding import number, percent

from ..report_support import row, written
from .pages import Opened, names

pytestmark = pytest.mark.browser


def test_the_script_rounds_as_the_template_does(opened: Opened, out: Path) -> None:
    draw = np.random.default_rng(0)
    shares = [
        0,
        1,
        0.8125,
        0.8375,
        0.35,
        0.0004,
        0.0005,
        0.9995,
        0.99951,
        0.99997,
        *draw.random(2000),
        *(k / 800 for k in range(801)),
    ]
    values = [0, 1, 0.3125, 1234.5, 1e-7, 2.5e-6, 99.95, *(10.0 ** draw.uniform(-8, 8, 2000)), *-draw.random(50)]
    page = opened(out)
    assert page.evaluate("(xs) => xs.map(percent)", shares) == [percent(x) for x in shares]
    assert page.evaluate("(xs) => xs.map(figure)", values) == [number(x) for x in values]


def test_precision_recall_and_f1_of_every_class(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    known = [row for row in rows.values() if "correct" in row]
    page = opened(out, "#view=classes")
    heads = page.locator(".figures thead tr").nth(1).locator("th").all_inner_texts()
    found = {}
    for line in page.locator(".figures tbody tr").all():
        cells = line.locator("th, td:not(.small)").all_inner_texts()
        found[cells[0]] = dict(zip(heads[1:], cells[1:]))
    means: dict[str, list[float]] = {"recall": [], "precision": [], "F1": []}
    for name, cells in found.items():
        labelled = [row["correct"] for row in known if row["label"] == name]
        predicted = [row["correct"] for row in known if row["top"][0]["name"] == name]
        recall = sum(labelled) / len(labelled) if labelled else math.nan
        precision = sum(predicted) / len(predicted) if predicted else math.nan
        f1 = 2 * sum(labelled) / (len(labelled) + len(predicted)) if labelled or predicted else math.nan
        for which, value in (("recall", recall), ("precision", precision), ("F1", f1)):
            assert cells[which] == percent(value), (name, which)
            means[which] += [] if math.isnan(value) else [value]
    assert len(found) > 5
    assert len({*means["precision"]}) > 1
    assert page.locator(".figures tfoot td:not(:empty)").all_inner_texts() == [
        percent(float(np.mean(means[which]))) for which in ("recall", "precision", "F1")
    ]


def calibrated(folder: Path, count: int) -> tuple[Path, np.ndarray, np.ndarray]:
    """A run with known probabilities and verdicts."""
    draw = np.random.default_rng(1)
    prob = np.round(draw.beta(4, 2, count), 4)
    prob[:3] = (1 / 3, 1.0, 0.0)
    right = draw.random(count) < prob**1.5
    rows = [
        row(f"{k}.jpg", index=k, label="cat", label_index=3, correct=bool(right[k]),
            top=[{"index": 3 if right[k] else 4, "name": "cat" if right[k] else "dog", "prob": float(prob[k])}])
        for k in range(count)
    ]  # fmt: skip
    build_report(str(written(folder, rows)))
    return folder, prob, right


def test_the_calibration_error_is_that_of_its_definition(opened: Opened, tmp_path: Path) -> None:
    folder, prob, right = calibrated(tmp_path / "out", 180)
    bins = np.clip(np.ceil(prob * 15 - 1e-6).astype(int) - 1, 0, 14)
    error = chance = 0.0
    for k in range(15):
        inside = bins == k
        if inside.any():
            error += inside.sum() / 180 * abs(right[inside].mean() - prob[inside].mean())
            spread = math.sqrt((prob[inside] * (1 - prob[inside])).sum()) / inside.sum()
            chance += inside.sum() / 180 * math.sqrt(2 / math.pi) * spread
    page = opened(folder, "#view=calibration")
    first, second, third = page.locator(".sets p").all_inner_texts()
    assert first == f"ECE {percent(error)} expected calibration error, of 180 images with a label"
    assert second.startswith(percent(chance))
    assert f"{percent(prob.mean())} mean probability, {percent(right.mean())} right" in third
    assert page.locator(".reliability circle").count() == len({*bins.tolist()})
    line = page.locator(".figures tbody tr", has_text=f"{percent(10 / 15)} to {percent(11 / 15)}")
    assert f"{percent(right[bins == 10].mean())} " in line.inner_text().replace("\n", " ")
    line.locator("a").click()
    page.wait_for_selector(".card")
    assert len(names(page)) == (bins == 10).sum()
    drawn = np.random.default_rng(2)
    errors = []
    for _ in range(300):  # the calibration error by chance, from draws
        truth = drawn.random(180) < prob
        errors.append(
            sum(
                (bins == k).sum() / 180 * abs(truth[bins == k].mean() - prob[bins == k].mean())
                for k in {*bins.tolist()}
            )
        )
    assert abs(float(np.mean(errors)) - chance) < 0.006


def test_a_rectangle_in_the_scatter_filters(opened: Opened, tmp_path: Path) -> None:
    folder, prob, _ = calibrated(tmp_path / "out", 180)
    page = opened(folder, "#view=scatter&x=prob&y=entropy")
    box = page.locator(".scatter-plot").bounding_box()
    assert box
    plot = page.evaluate("PLOT")
    inside = plot["width"] - plot["left"] - plot["right"]
    left, right = (plot["left"] + share * inside for share in (0.5, 0.75))
    scale = box["width"] / plot["width"]
    page.mouse.move(box["x"] + left * scale, box["y"] + 20 * scale)
    page.mouse.down()
    page.mouse.move(box["x"] + right * scale, box["y"] + 370 * scale, steps=3)
    page.mouse.up()
    low, high = page.evaluate("rangeOf(state.prob)")
    assert abs(low - 0.5) < 0.005
    assert abs(high - 0.75) < 0.005
    chosen = {f"{k}.jpg" for k in range(180) if low <= prob[k] <= high}
    assert {*names(page)} == chosen
    assert page.locator(".brush").is_visible()
    assert page.locator(".strip .card").count() == min(12, len(chosen))
    page.fill("[aria-label='probability at most, percent']", "60")
    page.keyboard.press("Enter")
    assert {*names(page)} == {f"{k}.jpg" for k in range(180) if low <= prob[k] <= 0.6}, "also without a pointer"
    page.click("text=Clear the rectangle")
    assert len(names(page)) == 180
    at = page.evaluate("[measureScale('prob'), measureScale('entropy')].map((s) => [s.start, s.step * s.count])")
    low, tall = plot["height"] - plot["bottom"], plot["height"] - plot["bottom"] - plot["top"]
    x = plot["left"] + (prob[7] - at[0][0]) / at[0][1] * inside
    y = low - (0.5 - at[1][0]) / at[1][1] * tall
    page.mouse.click(box["x"] + x * scale, box["y"] + y * scale)
    page.wait_for_selector("#large[open]")
    opened_image = page.locator("#large .bar strong").inner_text()
    assert abs(prob[int(opened_image.removesuffix(".jpg"))] - prob[7]) < 0.01


def test_histograms_have_an_axis_of_counts(opened: Opened, out: Path) -> None:
    page = opened(out, "#view=distribution")
    assert page.locator(".histogram .counts").count() == 4
    for ticks in page.locator(".histogram .counts").all():
        values = [int(text) for text in ticks.locator("span").all_inner_texts()]
        assert values[0] == 0
        assert len({b - a for a, b in pairwise(values)}) == 1
    assert page.evaluate("[1, 3, 10, 17, 99, 123456].map(countTicks)") == [
        [0, 1], [0, 1, 2, 3], [0, 5, 10], [0, 5, 10, 15, 20], [0, 50, 100], [0, 50000, 100000, 150000]
    ]  # fmt: skip
    assert json.loads(page.evaluate("JSON.stringify(countTicks(0))")) == [0, 1]
