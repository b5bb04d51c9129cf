"""Reports of many images, and in print."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .pages import Opened, many, names, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def printed(page: Page) -> str:
    """The line above the images in print."""
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".on-paper").is_visible()
    return page.locator(".on-paper").inner_text()


def test_all_of_a_small_report_is_printed(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, width=390, height=300)
    page.wait_for_selector(".card")
    assert page.locator(".card").count() < len(rows)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector(f"text={list(rows)[-1]}")
    assert printed(page) == f"{len(rows)} images, by input order."
    assert [Path(name).name for name in page.locator(".card .name").all_inner_texts()] == list(rows)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".on-paper").count() == 0
    assert page.locator(".card").count() < len(rows)


def test_a_printed_page_names_the_images_that_it_leaves_out(opened: Opened, out: Path, tmp_path: Path) -> None:
    page = opened(many(out, tmp_path / "many", 1_250), "#q=jpg&prob=0.1~&sort=prob&desc=1")
    page.wait_for_selector(".card canvas")
    found = len(names(page))
    assert 200 < found < 1_250
    words = printed(page)
    start = f"The first 200 of {found:,} images (probability 10.0\u202f%–, text jpg; 1,250 in all), by probability, descending. “Print all” in the menu Export prints the rest."
    assert words.startswith(start)
    assert "Not loaded in time: " in words, "of groups that were not in sight"
    assert page.locator(".card").count() == 200
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    until(page, "[...chosen.slice(0, 200)].every(isLoaded)")
    assert printed(page) == start
    table = opened(tmp_path / "many", "#view=table&q=000")
    words = "The first 200 of 1,001 images (text 000; 1,250 in all), by input order. “Print all” in the menu Export prints the rest."
    assert printed(table) == words, "000000 to 000999, and 001000"
    assert table.locator(".rows .row").count() == 200


@pytest.mark.parametrize("count", [1_250, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_large_report_loads_what_comes_into_sight(opened: Opened, out: Path, tmp_path: Path, count: int) -> None:
    page = opened(many(out, tmp_path / "many", count))
    page.wait_for_selector(".card canvas")
    assert page.evaluate("imageCount") == count
    assert page.evaluate("detailGroups.size") < 3
    assert page.locator(".card").count() < 200
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector(f"text={count - 1:06}.jpg")
    until(page, "[...document.images].some((image) => image.naturalWidth > 50)")
    assert page.locator(".card").count() < 200
    page.fill("#search", f"{count // 2:06}")
    assert names(page) == [f"{count // 2:06}.jpg"]
    page.fill("#search", "")
    page.evaluate("go({ view: 'table', sort: 'prob', desc: '1' })")
    assert page.locator(".rows .row").first.inner_text().startswith(f"{count - 1:06}.jpg")


def test_a_large_report_shows_the_overlay_of_the_run_itself(opened: Opened, out: Path, tmp_path: Path) -> None:
    folder = many(out, tmp_path / "many", 201)
    shutil.copytree(out / "overlays", folder / "overlays")
    page = opened(folder, "#image=000001.jpg")
    visible = "document.querySelector('#large .exact').checkVisibility({ visibilityProperty: true })"
    until(page, "document.querySelector('#large .exact')?.naturalWidth > 256")
    assert page.evaluate(visible)
    for key, shown in (("1", False), ("2", True), ("3", False), ("2", True)):
        page.keyboard.press(key)
        assert page.evaluate(visible) == shown
    for colours, shown in (("gray", False), ("turbo", True)):
        page.evaluate("(map) => go({ map })", colours)
        page.wait_for_selector("#large .exact", state="attached")
        assert page.evaluate(visible) == shown, "other colours than those of the run are drawn from the sketch"
    page.keyboard.press("m")
    until(page, "decodeURI(document.querySelector('#large .exact').src).includes('.gradcam.')")
    small = opened(out, "#image=car.jpg")
    small.wait_for_selector("#large .heat")
    assert small.locator(".exact").count() == 0, "a single file loads nothing"


def test_a_missing_data_file_is_shown_on_the_page(opened: Opened, out: Path, tmp_path: Path) -> None:
    folder = many(out, tmp_path / "many", 250)
    for path in (folder / "report" / "data").glob("*rows-0.js"):
        path.unlink()
    page = opened.browser.new_page()
    page.goto((folder / "report" / "index.html").as_uri())
    page.wait_for_selector("[role=alert]")
    assert "Keep the folder report/ together" in page.locator("[role=alert]").inner_text()
    page.close()
