"""The page of a comparison: its pairs, their order, and the views of a person."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cam_cli.report import comparison
from cam_cli.report.comparison import MOST_PAIRS

from .browser.conftest import browser, opened
from .browser.pages import Opened
from .conftest import picture
from .run_folders import NAMES, image_row, run_folder, sketch, spot
from .test_report import content

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["browser", "opened"]

Camx = Callable[..., int]
CAT, DOG, FISH = range(3)
HOSTILE = '"><img src=x onerror=window.pwned=1>.jpg'


def runs(folder: Path, count: int = 12, thumbs: bool = True) -> tuple[Path, Path]:
    """Of every four images one breaks, one is fixed, one changes, and one keeps its class; maps differ more and
    more."""
    kinds = [(CAT, DOG), (DOG, CAT), (DOG, FISH), (CAT, CAT)]
    rows: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for i in range(count):
        name = HOSTILE if i == 3 else f"pets/{i}.jpg"
        for side in (0, 1):
            cells = spot(2, 2) if side == 0 else spot(2 + (i * 5) % 7, 2)
            more: dict[str, Any] = {"thumb": f"report/thumbs/{i}.jpg"} if thumbs else {}
            rows[side].append(image_row(name, CAT, kinds[i % 4][side], prob=0.5 + 0.4 * side, cells=cells, **more))
    made = tuple(run_folder(folder / name, rows[side], classes=list(NAMES)) for side, name in enumerate("ab"))
    if thumbs:
        (made[1] / "report" / "thumbs").mkdir(parents=True)
        for i in range(count):
            picture(40, 30, i).save(made[1] / "report" / "thumbs" / f"{i}.jpg")
    return made[0], made[1]


def test_pairs_stand_in_the_order_of_what_became_of_them(camx: Camx, tmp_path: Path) -> None:
    a, b = runs(tmp_path)
    assert camx("compare", a, b, "-q") == 0
    data = content(b / "compare" / "index.html")
    rows = data["parts"]["rows-0"]
    assert [data["words"][flip] for flip in rows["flip"]] == ["broke"] * 3 + ["fixed"] * 3 + ["changed"] * 3 + [
        "same"
    ] * 3
    assert rows["cosine"][9:] == sorted(rows["cosine"][9:])
    assert [data["classes"][k] for k in rows["target"][:1] + rows["class"][:1]] == ["cat", "dog"]
    details = data["parts"]["more-0"]
    assert all(pair["picture"].startswith("data:image/jpeg") for pair in details)
    assert details[0]["targets"] == ["cat", "dog"]
    assert len(base64.b64decode(data["scatter"][0])) == 12
    assert rows["prob_a"][0], rows["prob_b"][0] == (0.5, 0.9)


def test_no_report_writes_no_page(camx: Camx, tmp_path: Path) -> None:
    a, b = runs(tmp_path)
    assert camx("compare", a, b, "-q", "--no-report") == 0
    assert not (b / "compare" / "index.html").exists()


def test_of_many_pairs_images_are_linked_where_they_lie(camx: Camx, tmp_path: Path) -> None:
    a, b = runs(tmp_path, 240)
    assert camx("compare", a, b, "-q", "-o", tmp_path / "deep" / "er") == 0
    page = tmp_path / "deep" / "er" / "index.html"
    text = "".join(path.read_text() for path in (page.parent / "data").glob("*more-0.js"))
    linked = re.findall(r'"picture":"([^"]+)"', text)
    assert len(linked) == 100
    assert all((page.parent / name).is_file() for name in linked)
    assert not content(page)["parts"]


def test_a_second_comparison_leaves_no_files_of_the_first(camx: Camx, tmp_path: Path) -> None:
    a, b = runs(tmp_path, 240)
    assert camx("compare", a, b, "-q") == 0
    first = {path.name for path in (b / "compare" / "data").iterdir()}
    assert camx("compare", b, b, "-q", "-o", b / "compare") == 0
    assert not first & {path.name for path in (b / "compare" / "data").iterdir()}


def test_the_page_holds_a_limited_number_of_pairs_with_a_note(
    camx: Camx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_PAIRS == 5000
    monkeypatch.setattr(comparison, "MOST_PAIRS", 10)
    a, b = runs(tmp_path, thumbs=False)
    assert camx("compare", a, b, "-q") == 0
    data = content(b / "compare" / "index.html")
    assert (data["rows"], data["all"]) == (10, 12)
    assert data["parts"]["rows-0"]["flip"].count(data["words"].index("same")) == 1
    assert {pair["picture"] for pair in data["parts"]["more-0"]} == {""}


def names(page: Page) -> list[str]:
    return page.evaluate("[...chosen].map((i) => columns.image[i])")  # type: ignore[no-any-return]


class Shown:
    """Opens the page of a comparison as `Opened` opens that of a run."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened

    def __call__(self, folder: Path, address: str = "", **look: Any) -> Page:
        page = self.opened.browser.new_page(viewport={"width": look.pop("width", 1300), "height": 900}, **look)
        self.opened.pages.append(page)
        page.on("console", lambda message: self.opened.complaints.append(message.text))
        page.on("pageerror", lambda error: self.opened.complaints.append(str(error)))
        page.goto((folder / "index.html").resolve().as_uri() + address)
        page.wait_for_selector("[aria-current=page]")
        return page


@pytest.fixture
def shown(opened: Opened) -> Shown:
    return Shown(opened)


@pytest.mark.browser
def test_pairs_in_a_browser(shown: Shown, camx: Camx, tmp_path: Path) -> None:
    a, b = runs(tmp_path)
    assert camx("compare", a, b, "-q", "--fail-if", "broke > 1") == 1
    page = shown(b / "compare")
    page.wait_for_selector(".tiles canvas")
    card = page.locator(".card").first
    assert card.locator("canvas").count() == 3
    assert card.locator("img").count() == 3
    assert "broke" in card.inner_text()
    page.select_option("[aria-label='What became of it']", "same")
    assert names(page)[-1] == "pets/7.jpg" or len(names(page)) == 3
    page.fill("#search", "onerror")
    assert names(page) == [HOSTILE]
    page.fill("#search", "")
    page.select_option("[aria-label='What became of it']", "")
    page.select_option("[aria-label=Order]", "shift")
    shifts = page.evaluate("[...chosen].map((i) => columns.shift[i])")
    assert shifts == sorted(shifts)
    page.click("[aria-label='Reverse the order']")
    assert page.evaluate("[...chosen].map((i) => columns.shift[i])") == sorted(shifts, reverse=True)
    assert page.url.endswith("sort=shift&desc=1")
    page.click("text=Figures")
    assert page.locator(".gates .fail").count() == 1
    assert "accuracy A 50.00%, B 50.00%" in page.locator(".sentences").inner_text()
    assert page.locator(".confused li").first.inner_text() == "cat → dog 3 ×"
    page.go_back()
    page.wait_for_selector(".card")
    page.click("#facts >> text=fixed")
    assert len(names(page)) == 3


@pytest.mark.browser
def test_the_difference_has_the_colours_of_more_and_less(shown: Shown, camx: Camx, tmp_path: Path) -> None:
    left, right = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    left[:, :4], right[:, 4:] = 255, 255
    row = image_row("0.jpg", CAT, CAT)
    for name, cells in (("a", left), ("b", right)):
        row["maps"][0]["sketch"] = sketch(cells)
        run_folder(tmp_path / name, [row], classes=list(NAMES))
    assert camx("compare", tmp_path / "a", tmp_path / "b", "-q") == 0
    page = shown(tmp_path / "b" / "compare")
    page.wait_for_selector(".tiles canvas")
    less, more = page.evaluate("""(() => {
        const canvas = [...document.querySelectorAll('.tiles canvas')].pop(), { width, height } = canvas;
        const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
        const at = (x) => { const k = 4 * (height / 2 * width + x * width); return [...pixels.slice(k, k + 3)]; };
        return [at(.25), at(.75)];
    })()""")
    assert less[2] > less[0] + 100
    assert more[0] > more[2] + 100


@pytest.mark.browser
def test_a_large_page_loads_pairs_and_images_that_come_into_sight(shown: Shown, camx: Camx, tmp_path: Path) -> None:
    a, b = runs(tmp_path, 240)
    assert camx("compare", a, b, "-q") == 0
    page = shown(b / "compare")
    page.wait_for_selector(".tiles img")
    page.wait_for_load_state("networkidle")
    assert page.locator(".tiles img").first.evaluate("(image) => image.naturalWidth") == 40
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert len(names(page)) == 240
    page.wait_for_selector(f"article[aria-label='{names(page)[-1]}'] canvas")


@pytest.mark.browser
@pytest.mark.parametrize("look", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"width": 390}])
def test_axe_finds_no_barrier_and_it_fits(shown: Shown, camx: Camx, tmp_path: Path, look: Any) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
    a, b = runs(tmp_path)
    assert camx("compare", a, b, "-q", "--fail-if", "broke > 1", "--min-group", "500") == 1
    page, found = shown(b / "compare", bypass_csp=True, **look), []
    page.evaluate(axe)
    for view in ("#", "#view=figures"):
        page.evaluate("(hash) => { location.hash = hash; }", view)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") == look.get("width", 1300)
        violations = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        found += [f"{view}: {one['id']}: {node['target']}" for one in violations for node in one["nodes"]]
    assert found == []
