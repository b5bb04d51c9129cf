"""Tools of the report: export, tags, side by side, zoom, printing, single files."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cam_cli.outputs.tables import text as cell_text
from cam_cli.report import build_report

from ..hostile_names import OF_FILES
from ..hostile_names import names as hostile
from ..report_support import row, written
from .pages import Opened, many, names, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def saved(page: Page, button: str) -> str:
    """The file that a button of the menu saves."""
    if not page.locator(".menu .panel").is_visible():
        page.click(".menu summary")
    with page.expect_download() as download:
        page.click(f".panel >> text={button}")
    return Path(download.value.path()).read_bytes().decode("utf-8-sig")


def test_the_images_in_sight_become_a_table(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#right=wrong")
    table = list(csv.DictReader(io.StringIO(saved(page, "Table of"))))
    assert [line["image"] for line in table] == [cell_text(name) for name in names(page)]
    for line, name in zip(table, names(page)):
        known = rows[name]
        assert line["predicted"] == cell_text(known["top"][0]["name"])
        assert float(line["probability"]) == pytest.approx(known["top"][0]["prob"], abs=1e-5)
        assert float(line["cam_border"]) == pytest.approx(known["maps"][0]["border"], abs=1e-5)
        assert line["correct"] == "false"


def test_a_table_of_hostile_names_is_read_back_and_runs_nothing(opened: Opened, tmp_path: Path) -> None:
    known = [*dict.fromkeys(name for name in hostile(40, pieces=OF_FILES) if "\udcff" not in name)]
    build_report(str(written(tmp_path / "out", [row(name, index=k) for k, name in enumerate(known)])))
    page = opened(tmp_path / "out")
    table = list(csv.reader(io.StringIO(saved(page, "Table of"), newline="")))
    assert [line[0] for line in table[1:]] == [cell_text(name) for name in known]
    page.evaluate("(name) => addTag([columns.image[0]], name)", "=cmd|x")
    assert list(csv.reader(io.StringIO(saved(page, "Tags of"), newline="")))[1][1] == "'=cmd|x"


def test_paths_are_copied(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#right=wrong", permissions=["clipboard-read", "clipboard-write"])
    page.click(".menu summary")
    page.click(".panel >> text=Copy")
    assert page.locator(".panel >> text=Copied").count() == 1
    inputs = json.loads((out / "run.json").read_text())["fingerprint"]["inputs"]
    assert page.evaluate("chosenPaths()").split("\n") == [f"{inputs}/{name}" for name in names(page)]
    assert page.evaluate("navigator.clipboard.readText()") == page.evaluate("chosenPaths()")


def test_tags_are_kept_filtered_by_and_exported(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#image=cat.jpg")
    page.fill("#large .tag-field", "bad light")
    page.press("#large .tag-field", "Enter")
    assert page.locator("#large .chip").inner_text() == "bad-light ×"
    page.keyboard.press("Escape")
    page.reload()
    page.wait_for_selector(".card .tag >> text=bad-light")
    page.select_option("[aria-label=Tag]", "bad-light")
    assert names(page) == ["cat.jpg"]
    page.evaluate("go({ tag: '', right: 'wrong' })")
    wrong = names(page)
    page.click(".menu summary")
    page.fill(".panel .tag-field", "look")
    page.press(".panel .tag-field", "Enter")
    table = list(csv.DictReader(io.StringIO(saved(page, "Tags of"))))
    assert sorted((line["image"], line["tag"]) for line in table) == sorted(
        [(cell_text("cat.jpg"), "bad-light"), *((cell_text(name), "look") for name in wrong)]
    )
    page.evaluate("go({ right: '', image: 'cat.jpg' })")
    page.click("#large .chip >> text=bad-light")
    page.evaluate("go({ image: '' })")
    assert page.evaluate("tagNames()") == ["look"]


def test_all_maps_of_an_image_side_by_side(opened: Opened, out: Path) -> None:
    page = opened(out, "#image=cat-and-dog.jpg")
    page.keyboard.press("v")
    page.wait_for_selector(".matrix-of-maps canvas")
    assert page.locator(".matrix-of-maps button").count() == 4
    words = page.locator(".matrix-of-maps button > span").all_inner_texts()
    assert [text.split(" ")[0] for text in words] == ["gradcam", "gradcam", "cam", "cam"]
    boxes = [box for b in page.locator(".matrix-of-maps button").all() if (box := b.bounding_box())]
    assert boxes[0]["y"] == boxes[1]["y"] < boxes[2]["y"], "a row for each method"
    assert boxes[0]["x"] == boxes[2]["x"] < boxes[1]["x"], "a column for each class"
    assert boxes[0]["width"] > 250, "they fill the dialog"
    page.locator(".matrix-of-maps button").nth(3).click()
    assert page.evaluate("[state.method, state.rank, state.side]") == ["cam", "2", ""]


def test_zoom_shows_the_pixels_of_the_original(opened: Opened, out: Path, tmp_path: Path) -> None:
    page = opened(out, "#image=car.jpg")
    page.keyboard.press("z")
    page.wait_for_selector(".theatre.zoomed")
    width = page.evaluate("detailsOf(columns.image.indexOf('car.jpg')).then((one) => one.width)")
    assert page.locator(".theatre .stage").bounding_box()["width"] == width  # type: ignore[index]
    page.keyboard.press("z")
    until(page, f"document.querySelector('.theatre .stage').offsetWidth === {2 * width}")
    # The image is centred on what the map shows in the frame after the one that gives it its size.
    until(page, "((at) => at.scrollLeft + at.scrollTop > 0)(document.querySelector('.theatre'))")
    left = page.evaluate("document.querySelector('.theatre').scrollLeft")
    page.mouse.move(400, 400)
    page.mouse.down()
    page.mouse.move(440, 420)
    page.mouse.up()
    assert page.evaluate("document.querySelector('.theatre').scrollLeft") == max(0, left - 40)
    link = page.locator("#large .files a >> text=original").get_attribute("href")
    assert (out / "report" / str(link)).resolve() == (out.parent / "images" / "car.jpg").resolve()
    folder = many(out, tmp_path / "many", 201)
    record = json.loads((folder / "run.json").read_text())
    (tmp_path / "in").mkdir()
    shutil.copy(out.parent / "images" / "car.jpg", tmp_path / "in" / "000001.jpg")
    record["fingerprint"]["inputs"] = str(tmp_path / "in")
    (folder / "run.json").write_text(json.dumps(record))
    build_report(str(folder))
    page = opened.browser.new_page()
    page.goto((folder / "report" / "index.html").as_uri() + "#image=000001.jpg&zoom=1")
    until(page, "document.querySelector('.theatre img')?.naturalWidth > 256")
    assert page.evaluate("document.querySelector('.theatre img').src").endswith("/in/000001.jpg")
    page.close()


def test_the_table_has_thumbnails(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=table")
    until(page, f"document.querySelectorAll('.rows .tile canvas').length === {len(rows) - 1}")
    until(page, "document.querySelector('.rows .tile img').naturalWidth > 0")


def test_all_that_is_asked_for_is_printed(opened: Opened, out: Path, tmp_path: Path) -> None:
    page = opened(many(out, tmp_path / "many", 450))
    page.wait_for_selector(".card canvas")
    # A function, because the driver would call the replacement at once.
    page.evaluate(
        """() => { window.print = () => {
            const cards = [...document.querySelectorAll('.card')].filter((card) => card.querySelector('canvas'));
            const awaited = (image) => image?.naturalWidth && image.loading === 'eager';
            window.printed = cards.filter((card) => awaited(card.querySelector('img'))).length;
        }; }"""
    )
    page.click(".menu summary")
    page.click(".panel >> text=Print all 450 images")
    # The policy of the page forbids the code with which the driver waits for an expression.
    while not (printed := page.evaluate("window.printed || 0")):
        page.wait_for_timeout(50)
    assert printed == 450
    assert page.locator(".card").count() < 200


def test_a_single_file_of_many_images_works_alone(opened: Opened, out: Path, tmp_path: Path) -> None:
    folder = many(out, tmp_path / "many", 450)
    build_report(str(folder), single_file=True)
    (tmp_path / "alone" / "report").mkdir(parents=True)
    shutil.move(folder / "report" / "index.html", tmp_path / "alone" / "report")
    page = opened(tmp_path / "alone")
    until(page, "document.querySelector('.card img')?.naturalWidth > 0")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector("text=000449.jpg")
    page.evaluate("go({ view: 'classes' })")
    page.wait_for_selector(".figures canvas")
