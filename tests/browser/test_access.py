"""A report works on a phone, by the keyboard, and for people with low vision."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .pages import Opened, names

pytestmark = pytest.mark.browser

VIEWS = ("", "#view=table", "#view=classes", "#view=classes&of=cat", "#view=confusion", "#view=distribution",
         "#view=calibration", "#view=scatter", "#view=scatter&prob=0.3~0.6",
         "#image=cat-and-dog.jpg&side=1", "#image=cat-and-dog.jpg&zoom=2",
         "#view=failures", "#view=made", "#image=cat-and-dog.jpg", "#image=broken.jpg")  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(opened: Opened, out: Path, scheme: Any) -> None:
    page = opened(out, width=390, height=844, color_scheme=scheme)
    for view in ("gallery", "table", "classes", "confusion", "calibration", "scatter", "distribution", "made"):
        page.evaluate(f"go({{ view: '{view}' }})")
        page.wait_for_timeout(60)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, view
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 23)"
    assert dark == (scheme == "dark")


def test_a_phone_shows_what_a_wrong_image_is(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    wrong = {name: row["label"] for name, row in rows.items() if row.get("correct") is False}
    page = opened(out, "#right=wrong", width=390, height=844)
    for view, place in (("gallery", ".card .verdict small"), ("table", ".rows .class small")):
        page.evaluate(f"go({{ view: '{view}' }})")
        page.wait_for_selector(place)
        shown = page.locator(place)
        assert shown.all_inner_texts() == [f"is {wrong[name]}" for name in names(page)]
        frame, words = page.locator(".card, .rows .row").first.bounding_box(), shown.first.bounding_box()
        following = page.locator(".card, .rows .row").nth(2 if view == "gallery" else 1).bounding_box()
        assert frame
        assert words
        assert following
        assert words["height"] > 10
        assert frame["y"] < words["y"] < words["y"] + words["height"] <= following["y"], "nothing lies over it"
    wide = opened(out, "#right=wrong&view=table")
    assert not wide.locator(".rows .class small").first.is_visible(), "there the label has a column"


@pytest.mark.parametrize("look", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"width": 390, "height": 844}])
def test_axe_finds_no_barrier(opened: Opened, out: Path, look: Any) -> None:
    """Contrast, roles, landmarks, headings, names, and all other rules of axe-core."""
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
    page, found = opened(out, bypass_csp=True, **look), []
    page.evaluate(axe)
    for view in VIEWS:
        page.evaluate("(hash) => { location.hash = hash; }", view)
        page.wait_for_selector("#large[open]" if "image" in view else "[aria-current=page]")
        page.wait_for_timeout(300)
        violations = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        found += [f"{view}: {one['id']}: {node['target']}" for one in violations for node in one["nodes"]]
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_number_in_every_cell_of_the_confusion_can_be_read(opened: Opened, out: Path, scheme: Any) -> None:
    """A contrast of 4.5 at every share of a row; few of them occur in one report."""
    page = opened(out, "#view=confusion", color_scheme=scheme)
    page.wait_for_selector(".matrix .hit a")
    colours = page.evaluate("""(() => {
        const seen = (colour) => { // as a person sees it, on the page
            const canvas = new OffscreenCanvas(1, 1).getContext('2d');
            for (const one of [getComputedStyle(document.body).backgroundColor, colour]) {
                canvas.fillStyle = one;
                canvas.fillRect(0, 0, 1, 1);
            }
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        return ['.hit', '.miss'].flatMap((kind) => [...Array(21).keys()].map((k) => {
            const cell = document.querySelector(`.matrix ${kind}:has(a)`);
            cell.style.setProperty('--x', k / 20);
            return [getComputedStyle(cell.firstChild).color, getComputedStyle(cell).backgroundColor].map(seen);
        }));
    })()""")

    def luminance(rgb: list[int]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(rgb) / 255]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    contrasts = []
    for words, cell in colours:
        low, high = sorted((luminance(words), luminance(cell)))
        contrasts.append((high + 0.05) / (low + 0.05))
    assert len(contrasts) == 42
    assert min(contrasts) >= 4.5
    assert max(contrasts) > 10, "no share, no colour"


def test_the_keyboard_reaches_every_row_of_the_table(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=table")
    page.wait_for_selector(".rows .row")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == list(rows)[1]
    page.keyboard.press("Enter")
    page.wait_for_selector("#large[open]")
    assert page.locator("#large .bar strong").inner_text() == list(rows)[1]
    page.keyboard.press("Escape")
    page.locator(".rows .row").nth(3).locator(".entropy").click(force=True)
    page.wait_for_selector("#large[open]")
    assert page.locator("#large .bar strong").inner_text() == list(rows)[3], "a row is a link as a whole"


@pytest.mark.parametrize(("view", "plot"), [("calibration", "svg"), ("scatter", "svg")])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_word_of_a_plot_lies_over_another_or_is_cut_off(
    opened: Opened, out: Path, view: str, plot: str, width: int
) -> None:
    page = opened(out, f"#view={view}", width=width, height=844)
    page.wait_for_selector(f"{plot} .axes")
    edges, boxes = page.evaluate(
        """() => { const axes = document.querySelector('.axes'), all = [axes.closest('svg'), ...axes.querySelectorAll('text')];
        const [outer, ...words] = all.map((one) => { const { left, top, right, bottom } = one.getBoundingClientRect();
            return [left, top, right, bottom]; }); return [outer, words]; }"""
    )
    assert len(boxes) > 8
    for number, (left, top, right, bottom) in enumerate(boxes):
        assert left >= edges[0] - 1
        assert right <= edges[2] + 1
        for x0, y0, x1, y1 in boxes[number + 1 :]:
            across, down = min(right, x1) - max(left, x0), min(bottom, y1) - max(top, y0)
            assert across <= 1 or down <= 6, "the boxes of letters may touch, their strokes may not"
