"""The groups of a run in its report: filters on every attribute, and the results of an audit."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cam_cli.report import build_report

from .browser.conftest import browser, opened
from .browser.pages import Opened
from .run_folders import NAMES, failed_row, image_row, rights, run_folder, spot
from .test_report import content

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["browser", "opened"]

Camx = Callable[..., int]
HOSTILE = "</script><img src=x onerror=window.pwned=1>"


def sites(more: str = "c") -> list[dict[str, Any]]:
    """Three sites of 40 images with maps in three corners; the second site has the lowest accuracy."""
    found = []
    for site, right, corner in (("a", 38, (2, 2)), ("b", 26, (7, 2)), (more, 34, (2, 7))):
        found += rights(40, right, site.replace("/", "_")[:1], attributes={"site": site}, cells=spot(*corner))
    return found


@pytest.fixture
def out(camx: Camx, tmp_path: Path) -> Path:
    run = run_folder(tmp_path / "out", sites(), classes=list(NAMES))
    assert camx("audit", run, "-q", "--fail-if", "accuracy_gap > 0.05", "--fail-if", "accuracy_min < 0.9") == 1
    return run


def page_of(run: Path) -> Path:
    return run / "report" / "index.html"


def codes(packed: str) -> list[int]:
    return np.frombuffer(base64.b64decode(packed), "<u2").tolist()


def test_a_report_without_an_audit_has_filters_on_the_columns(tmp_path: Path) -> None:
    rows = [*sites(), image_row("none.jpg"), failed_row("x.jpg", attributes={"site": "a"})]
    run = run_folder(tmp_path / "out", rows, classes=list(NAMES))
    build_report(str(run))
    data = content(page_of(run))
    assert data["attributes"] == [{"name": "site", "kind": "column", "groups": ["a", "b", "c"]}]
    found = codes(data["parts"]["attributes"][0])
    assert found == [0] * 40 + [1] * 40 + [2] * 40 + [0xFFFF, 0]
    assert "audited" not in data
    assert "groups" not in data["parts"]


def test_a_run_without_attributes_has_none(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "out", [image_row("a.jpg")])
    build_report(str(run))
    assert not {"attributes", "audited"} & {*content(page_of(run))}


def test_an_audit_puts_its_figures_into_the_report(out: Path) -> None:
    data = content(page_of(out))
    groups = data["parts"]["groups"]
    assert data["audited"]
    assert [one["name"] for one in data["attributes"]] == ["site", "class"]
    row = next(row for row in groups["rows"] if (row["by"], row["group"]) == ("site", "b"))
    assert row["values"]["accuracy"][0] == 26 / 40
    assert [gate["verdict"] for gate in groups["gates"]] == ["fail", "fail"]
    assert groups["overall"]["accuracy"][3] == 120
    (count, peak, packed, signed) = groups["means"]["site"][2]
    cells = np.frombuffer(base64.b64decode(packed), np.uint8).reshape(24, 24)
    down, across = np.unravel_index(cells.argmax(), cells.shape)
    assert (count, signed) == (40, False)
    assert peak == pytest.approx(1, abs=0.01)
    assert down > 14 > 8 > across


def test_a_report_made_again_has_the_audit_again_and_no_report_leaves_it(camx: Camx, out: Path) -> None:
    before = page_of(out).read_bytes()
    assert camx("report", out) == 0
    assert page_of(out).read_bytes() == before
    assert camx("audit", out, "-q", "--no-report", "--metric", "ece") == 0
    assert page_of(out).read_bytes() == before
    assert camx("audit", out, "-q", "--metric", "ece") == 0
    assert "ece" in [name for name, *_ in content(page_of(out))["parts"]["groups"]["metrics"]]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"options": 3}', '{"options": {"confidence": 7}}', '{"options": {"fail_if": ["nothing > 1"]}}']
)
def test_an_audit_that_cannot_be_repeated_is_left_out_with_a_warning(out: Path, text: str) -> None:
    (out / "audit" / "summary.json").write_text(text)
    warnings: list[str] = []
    build_report(str(out), warned=warnings.append)
    assert len(warnings) == 1
    assert "audit" in warnings[0] or "no groups" in warnings[0]
    assert "audited" not in content(page_of(out))


def test_means_with_signs_keep_them(camx: Camx, tmp_path: Path) -> None:
    rows = sites()
    for row in rows:
        cells = np.full((10, 10), 128, np.uint8)
        cells[:5] = 255 if row["attributes"]["site"] == "a" else 1
        row["maps"][0]["sketch"] = {
            **row["maps"][0]["sketch"],
            "signed": True,
            "values": base64.b64encode(cells.tobytes()).decode(),
        }
    run = run_folder(tmp_path / "out", rows, classes=list(NAMES))
    assert camx("audit", run, "-q") == 0
    means = content(page_of(run))["parts"]["groups"]["means"]["site"]
    assert [(mean[1], mean[3]) for mean in means] == [(1.0, True), (-1.0, True), (-1.0, True)]


def names(page: Page) -> list[str]:
    return page.evaluate("[...chosen].map((i) => columns.image[i])")  # type: ignore[no-any-return]


@pytest.mark.browser
def test_groups_in_a_browser(opened: Opened, out: Path) -> None:
    page = opened(out, "#view=groups")
    page.wait_for_selector(".forest tbody tr")
    assert [row.split("\t")[0] for row in page.locator(".forest tbody tr").all_inner_texts()] == [
        "a",
        "b",
        "c",
        "all images",
    ]
    assert page.locator(".gates .fail").count() == 2
    points = page.evaluate(
        "[...document.querySelectorAll('.forest .point')].map((one) => one.getBoundingClientRect().x)"
    )
    assert points[1] < points[3] < points[2] < points[0]
    assert page.locator(".means canvas").count() == 4
    assert page.locator("figcaption").all_inner_texts()[3].startswith("b − c")
    page.select_option("[aria-label='Group to subtract']", "a")
    assert page.locator("figcaption").all_inner_texts()[3].startswith("b − a")
    blue, red = page.evaluate("""(() => {
        const canvas = [...document.querySelectorAll('.means canvas')].pop(), { width, height } = canvas;
        const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
        const at = (x, y) => { const k = 4 * (y * height * width + x * width); return [...pixels.slice(k, k + 4)]; };
        return [at(.25, .25), at(.75, .25)];
    })()""")
    assert blue[2] > blue[0] + 60
    assert red[0] > red[2] + 60
    page.select_option("[aria-label=Metric]", "cam_border")
    assert page.url.endswith("metric=cam_border")
    assert page.locator("h2").all_inner_texts()[1] == "cam border by site"
    page.select_option("[aria-label=Attribute]", "class")
    assert page.locator(".forest tbody th").all_inner_texts() == ["cat", "all images"]
    page.go_back()


@pytest.mark.browser
def test_a_group_leads_to_its_images_and_a_filter_chooses_them(opened: Opened, out: Path) -> None:
    page = opened(out, "#view=groups&of=site")
    page.click(".forest >> text=b")
    assert names(page) == [f"b/{i}.jpg" for i in range(40)]
    assert page.locator(".chip").all_inner_texts() == ["site b ×"]
    page.select_option("[aria-label=site]", "c")
    assert names(page)[0] == "c/0.jpg"
    page.keyboard.press("w")
    assert len(names(page)) == 6
    page.click("text=clear all")
    page.keyboard.press("a")
    page.wait_for_selector(".strip .card")
    assert page.locator(".strip .card").count() == 8
    page.click("text=all 14")
    assert len(names(page)) == 14


@pytest.mark.browser
@pytest.mark.parametrize("look", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"width": 390, "height": 844}])
def test_axe_finds_no_barrier_in_groups(opened: Opened, camx: Camx, tmp_path: Path, look: Any) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
    run = run_folder(tmp_path / "out", sites(HOSTILE), classes=list(NAMES))
    assert camx("audit", run, "-q", "--fail-if", "accuracy_gap > 0.5", "--min-group", "41") == 0
    page = opened(run, "#view=groups", bypass_csp=True, **look)
    page.wait_for_selector(".forest tbody tr")
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [f"{one['id']}: {node['target']}" for one in found for node in one["nodes"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") == look.get("width", 1280)
    assert HOSTILE in page.locator(".forest").inner_text()


@pytest.mark.browser
def test_a_large_report_loads_its_attributes_from_a_file(opened: Opened, camx: Camx, tmp_path: Path) -> None:
    rows = [image_row(f"{i}.jpg", 0, int(i % 9 == 0), attributes={"site": "ab"[i % 2]}) for i in range(300)]
    run = run_folder(tmp_path / "out", rows, classes=list(NAMES))
    assert camx("audit", run, "-q") == 0
    assert json.dumps("groups") in "".join(path.read_text() for path in (run / "report" / "data").glob("*groups.js"))
    page = opened(run, "#by.site=b&view=table")
    assert names(page) == [f"{i}.jpg" for i in range(1, 300, 2)]
