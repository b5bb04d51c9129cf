"""The page of patterns: its content, the actions of a person, and that it runs and loads nothing foreign."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from .browser.conftest import browser, opened
from .browser.pages import HOSTILE, Opened
from .conftest import picture
from .pattern_support import Camx, planted

__all__ = ["browser", "opened"]


def with_pictures(out: Path) -> Path:
    """The run with an image for each row; one image has a hostile name."""
    text = (out / "manifest.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    (out / "report" / "thumbs").mkdir(parents=True)
    for number, row in enumerate(rows):
        row["thumb"] = f"report/thumbs/{number}.jpg"
        picture(80, 60, number % 7).save(out / row["thumb"])
    (out / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return out


def hostile(out: Path) -> Path:
    """Replaces the name of the first image of a run by markup."""
    import zlib

    lines = (out / "spots.jsonl").read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b'"0000.jpg"', json.dumps(HOSTILE).encode())
    (out / "spots.jsonl").write_bytes(b"".join(lines))
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    rows[0] |= {"image": HOSTILE, "spots": f"{zlib.crc32(lines[0]):08x}"}
    (out / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return out


@pytest.fixture
def page_of(tmp_path: Path, camx: Camx) -> Path:
    out = hostile(with_pictures(planted(tmp_path / "out")))
    assert camx("patterns", out, "-q", "--fail-if", "pattern_share > 0.2 if same_place") == 1
    # The place of the page that `opened` expects.
    folder = tmp_path / "shown" / "report"
    folder.mkdir(parents=True)
    (folder / "index.html").write_bytes((out / "patterns" / "index.html").read_bytes())
    return folder.parent


def test_flagged_patterns_come_first_with_their_figures(page_of: Path) -> None:
    html = (page_of / "report" / "index.html").read_text()
    headings = re.findall(r"<article.*?</h2>", html, re.DOTALL)
    assert "same place" in headings[0]
    assert "one class only" in headings[0]
    assert not any("same place" in heading for heading in headings[1:])
    first = html.split("<article")[1]
    assert "24 of " in first
    assert first.count('width="96"') == 12
    assert "mean map" in first
    assert "accuracy without" in first
    assert not re.search(r'(?:src|href)="(?!data:)', html), "nothing outside of the page"


def test_a_run_without_images_has_a_page(tmp_path: Path, camx: Camx) -> None:
    out = planted(tmp_path / "out")
    assert camx("patterns", out, "-q") == 0
    html = (out / "patterns" / "index.html").read_text()
    assert "<article" in html
    assert 'class="missing"' in html


@pytest.mark.browser
def test_a_click_shows_the_images_and_names_are_exported(page_of: Path, opened: Opened, tmp_path: Path) -> None:
    page = _open(opened, page_of)
    assert page.locator("article").first.locator("figure img").count() > 12
    assert not page.locator("article").first.locator(".worst img").first.is_visible()
    page.locator("article summary").first.click()
    assert page.locator("article").first.locator(".worst img").first.is_visible()
    assert page.locator("#export").is_disabled()
    page.locator("article input").first.fill("the <b>mark</b>")
    assert page.locator("#named").inner_text().startswith("1 of ")
    with page.expect_download() as download:
        page.locator("#export").click()
    download.value.save_as(tmp_path / "names.json")
    (row,) = json.loads((tmp_path / "names.json").read_text())
    assert row["name"] == "the <b>mark</b>"
    assert row["class"] == "cat"
    assert "same_place" in row["flags"]


@pytest.mark.browser
@pytest.mark.parametrize("look", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"width": 390, "height": 844}])
def test_axe_finds_no_barrier(page_of: Path, opened: Opened, look: Any) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    page = _open(opened, page_of, bypass_csp=True, **look)
    page.locator("article summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    page.evaluate((resources.files("axe_playwright_python") / "axe.min.js").read_text())
    violations = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [f"{one['id']}: {node['target']}" for one in violations for node in one["nodes"]] == []


def _open(opened: Opened, folder: Path, width: int = 1280, height: int = 900, **context: Any) -> Any:
    page = opened.browser.new_page(viewport={"width": width, "height": height}, **context)
    opened.pages.append(page)
    page.on("console", lambda message: opened.complaints.append(message.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.goto((folder / "report" / "index.html").resolve().as_uri())
    return page
