"""The views of a report in a real browser: what a person clicks, types and filters by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.report import build_report

from .pages import Opened, names, until

pytestmark = pytest.mark.browser


def test_a_gallery_of_all_images(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out)
    assert names(page) == list(rows)
    until(page, f"document.querySelectorAll('.card canvas').length === {len(rows) - 1}")
    assert page.locator(".card .missing").inner_text() == "not readable"
    assert page.locator("#facts").inner_text().split()[0] == str(len(rows))
    assert "centred" in str(page.locator(".card img").first.get_attribute("alt"))
    assert page.evaluate("document.images[0].naturalWidth") > 100


def test_filters_stand_in_the_address(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    wrong = [name for name, row in rows.items() if row.get("correct") is False]
    assert len(wrong) > 2
    page = opened(out, "#right=wrong")
    assert sorted(names(page)) == sorted(wrong)
    page.keyboard.press("w")
    assert names(page) == list(rows)
    page.fill("#search", "boat FISH")
    assert names(page) == ["fish-and-boat.jpg"]
    assert page.url.endswith("#q=boat+FISH")
    page.fill("#search", "")
    page.select_option("[aria-label=Class]", "cat")
    assert names(page) == [
        n for n, r in rows.items() if "cat" in (r["label"], *(m["target_name"] for m in r.get("maps", [])[:1]))
    ]
    page.select_option("[aria-label=Class]", "")
    page.fill("[aria-label='probability at least, percent']", "60")
    page.keyboard.press("Enter")
    sure = [name for name, row in rows.items() if row.get("top") and row["top"][0]["prob"] >= 0.6]
    assert names(page) == sure
    page.reload()
    page.wait_for_selector(".card")
    assert names(page) == sure
    page.select_option("[aria-label=Status]", "failed")
    assert names(page) == []
    page.click("text=Clear them")
    assert names(page) == list(rows)
    assert "#" not in page.url.rstrip("#")


def test_wrong_images_come_most_confident_first(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    wrong = [name for name, row in rows.items() if row.get("correct") is False]
    confident_first = sorted(wrong, key=lambda name: -rows[name]["top"][0]["prob"])
    assert confident_first != wrong
    page = opened(out)
    page.click("#facts >> text=wrong")
    until(page, "location.hash === '#right=wrong'")
    assert names(page) == confident_first
    assert page.input_value("[aria-label=Order]") == "prob"
    page.click("[aria-label='Reverse the order']")
    assert names(page) == confident_first[::-1]
    page.select_option("[aria-label=Order]", "input")
    assert names(page) == wrong, "another order can be asked for"
    page.keyboard.press("w")
    assert names(page) == list(rows)
    page.keyboard.press("w")
    assert names(page) == wrong
    page.evaluate("go({ view: 'table', sort: '', desc: '' })")
    assert page.locator(".head .prob").get_attribute("aria-sort") == "descending"


def test_the_table_sorts(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=table")

    def probabilities() -> list[float]:
        *known, last = names(page)
        assert last == "broken.jpg", "without a value always last"
        return [rows[name]["top"][0]["prob"] for name in known]

    page.click(".head .prob")
    assert probabilities() == sorted(probabilities(), reverse=True)
    page.click(".head .prob")
    assert probabilities() == sorted(probabilities())
    assert page.locator(".head .prob").get_attribute("aria-sort") == "ascending"
    shown = page.locator(".rows .row .image").all_inner_texts()
    assert sorted(shown) == sorted(rows)
    page.click(".head .image")
    assert names(page) == sorted(rows)


def test_the_keyboard_moves_and_opens(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out)
    page.wait_for_selector(".card")
    order = list(rows)
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#large[open]")
    start = order.index(page.locator("#large .bar strong").inner_text())
    assert start > 2, "a row below"
    page.keyboard.press("ArrowRight")
    until(page, f"document.querySelector('.bar strong').textContent === {json.dumps(order[start + 1])}")
    page.go_back()
    until(page, "!document.getElementById('large').open")
    page.keyboard.press("/")
    page.keyboard.type("w1d")
    assert page.input_value("#search") == "w1d", "in a field the keys are letters"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    assert "view=table" in page.url


def test_a_cell_of_the_confusion_matrix_filters(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=confusion")
    page.locator(".matrix .miss a").first.click()
    page.wait_for_selector(".cards")
    found = names(page)
    (label,) = {rows[name]["label"] for name in found}
    (predicted,) = {rows[name]["top"][0]["name"] for name in found}
    assert label != predicted


def test_classes_failures_and_how_it_was_made(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=classes")
    page.click("table a >> text=cat")
    page.wait_for_selector(".mean canvas")
    page.go_back()
    page.wait_for_selector(".figures")
    page.click("text=Failures")
    assert "broken.jpg" in page.locator("#failures").inner_text()
    page.click("#tabs >> text=Provenance")
    assert "timm==" in page.locator("#again").inner_text()
    assert "every path to the score" in page.locator("#made").inner_text()


def figures_of(name: str, rows: dict[str, Any]) -> list[str]:
    """Text of the page of a class, one line for each set of images."""

    def line(images: list[Any], words: str, **shares: Any) -> str:
        means = [
            f"{100 * float(np.mean(values)):.1f}\u202f% {of.replace('_', ' ')}"
            for of, values in shares.items()
            if values
        ]
        text = f"{len(images)} image{'s' * (len(images) != 1)} {words}" + ": " * bool(means) + ", ".join(means)
        return text.replace("mean border", "mean border (even: 36.0\u202f%)")

    known = [row for row in rows.values() if "correct" in row]
    labelled = [row for row in known if row["label"] == name]
    lost = [row for row in rows.values() if row["label"] == name and "correct" not in row]
    predicted = [row for row in known if row["top"][0]["name"] == name]
    maps = [row["maps"][0] for row in known if row["maps"][0]["target_name"] == name]
    hits = [row["correct"] for row in predicted]
    both = [*hits, *(row["correct"] for row in labelled)]  # 2 TP of TP + FP and TP + FN
    return [
        line(labelled, f"labelled {name}", **{"right_(recall)": [row["correct"] for row in labelled]}),
        *([line(lost, f"labelled {name}, not explained")] if lost else []),
        line(predicted, f"predicted as {name}", mean_probability=[row["top"][0]["prob"] for row in predicted], precision=hits, F1=both),
        line(maps, f"whose first map is of {name}", mean_area=[m["area"] for m in maps], mean_border=[m["border"] for m in maps]),
    ]  # fmt: skip


def test_every_figure_of_a_class_names_its_images(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=classes")
    heads = page.locator(".figures .set").all_inner_texts()
    assert heads[1:] == ["images with this label", "images predicted as it", "both", "images whose first map is of it"]
    lists = set()
    for name in page.locator(".figures tbody th").all_inner_texts():
        page.evaluate("(of) => go({ view: 'classes', of })", name)
        page.wait_for_selector(".sets")
        assert page.locator(".sets p").all_inner_texts() == figures_of(name, rows)
        for title in page.locator("#view h3:has(a)").all():
            words = title.inner_text()
            lists.add(words.split()[0])
            with opened.browser.new_page() as found:
                found.goto(page.url.split("#")[0] + str(title.locator("a").get_attribute("href")))
                found.wait_for_selector(".card")
                assert len(names(found)) == int(words.split()[-1]), f"{name}: {words}"
                assert found.input_value("[aria-label=Order]") == "prob"
    assert lists == {"Right,", "Labelled", "Predicted"}, "each kind of list was met"


def test_a_training_and_its_epochs(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,seconds,best\r\n1,0.1,2,0.5,2,0.4,1,1\r\n2,0.1,1,0.7,nan,0.6,1,1\r\n"
    )
    record = {
        "fingerprint": {"command": "train-gap"},
        "best_epoch": 2,
        "classes": ["a", "b"],
        "confusion": [[3, 1], [0, 4]],
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    for epoch in (1, 2):
        (tmp_path / "cams" / f"epoch-{epoch:03}" / "a").mkdir(parents=True)
        Image.new("RGB", (40, 30), (epoch * 100, 0, 0)).save(
            tmp_path / "cams" / f"epoch-{epoch:03}" / "a" / "x.jpg.png"
        )
    build_report(str(tmp_path))
    page = opened(tmp_path)
    assert page.locator("#curves svg").count() == 2
    page.click("text=Over the epochs")
    picture = "document.querySelector('.samples img').src"
    last = page.evaluate(picture)
    page.focus(".epoch input")
    page.keyboard.press("ArrowLeft")
    assert "epoch 1 of 2" in page.locator("output").inner_text()
    assert page.evaluate(picture) != last
    page.click("#tabs >> text=Confusion")
    assert page.locator(".matrix .sum").all_inner_texts() == [
        "75.0\u202f%",
        "100.0\u202f%",
        "100.0\u202f%",
        "80.0\u202f%",
    ]
