"""Maps as a report draws them: from sketches, with signs, over the image."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from cam_cli.report import build_report

from .pages import Opened

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_one_image_large_with_slider_and_switches(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out)
    page.click("text=cat-and-dog.jpg")
    page.wait_for_selector("#large[open] .heat")
    heat = "getComputedStyle(document.querySelector('#large .heat')).opacity"
    assert page.evaluate(heat) == "0.5"
    page.locator("#large .slider").fill("0.9")
    assert page.evaluate(heat) == "0.9"
    for key, opacity in (("1", "0"), ("3", "1"), ("2", "0.5")):
        page.keyboard.press(key)
        assert page.evaluate(heat) == opacity
    maps = rows["cat-and-dog.jpg"]["maps"]
    switches = page.locator(".switches button")
    assert switches.all_inner_texts() == [f"{m['target_name']}\n{m['method']}" for m in maps]
    switches.nth(3).click()
    assert page.locator("[aria-pressed=true] canvas").count() == 1
    assert f"method\n{maps[3]['method']}" in page.locator(".side dl").inner_text().replace("\n\n", "\n")
    assert "method=cam&rank=2" in page.url
    page.keyboard.press("m")
    assert page.locator(".switches button").nth(0).get_attribute("aria-pressed") == "true"
    target = page.locator(".files a").first.get_attribute("href")
    assert target
    assert (out / "report" / unquote(target)).resolve().is_file()
    page.keyboard.press("Escape")
    assert page.locator("#large").is_hidden()


def test_the_map_drawn_from_the_sketch_is_the_map(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    """Compared with the heatmap of the run, which the sketch has averaged over at most 24 cells."""
    page = opened(out, "#image=car.jpg&map=gray&alpha=1")
    page.wait_for_selector("#large .heat")
    drawn = page.evaluate("""(() => { const c = document.querySelector('#large .heat');
        return [c.width, c.height, Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 === 0))]; })()""")
    canvas = np.array(drawn[2], float).reshape(drawn[1], drawn[0])
    with Image.open(out / rows["car.jpg"]["maps"][0]["heatmap"]) as image:
        heat = np.asarray(image.resize((drawn[0], drawn[1]), Image.Resampling.BILINEAR), float)
    assert np.corrcoef(canvas.ravel(), heat.ravel())[0, 1] > 0.97
    assert np.abs(canvas - heat).mean() < 8


def test_a_run_with_one_scale_has_its_colours_on_the_page(
    opened: Opened, out: Path, tmp_path: Path, rows: dict[str, Any]
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(out, folder)
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for row in lines:
        for shown in row.get("maps", ()):
            shown["colour_scale"] = 2 * shown["peak"]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    build_report(str(folder))
    levels = []
    for shown in (out, folder):
        page = opened(shown, "#image=car.jpg&map=gray&alpha=1")
        page.wait_for_selector("#large .heat")
        levels.append(painted(page, "#large .heat")[..., 0].astype(int))
    assert np.abs(levels[1] * 2 - levels[0]).max() <= 4, "half the strength of what has the peak of all"
    legend = page.locator("#large .legend").inner_text()
    assert f"all maps {2 * rows['car.jpg']['maps'][0]['peak']:.3g}"[:12] in legend


@pytest.fixture(scope="module")
def two_sided(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps with evidence for the class on the left and against it on the right; `car.jpg` is of a version without
    signs."""
    folder = tmp_path_factory.mktemp("signs") / "out"
    shutil.copytree(out, folder)
    values = base64.b64encode(bytes([255, 255, 128, 128, 1, 1] * 4)).decode()
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for row in lines:
        for shown in row.get("maps", ()) if row["image"] != "car.jpg" else ():
            shown["sketch"] = {"width": 6, "height": 4, "values": values, "signed": True}
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    record = json.loads((folder / "run.json").read_text())
    record["fingerprint"]["evidence"] = "both"
    (folder / "run.json").write_text(json.dumps(record))
    build_report(str(folder))
    return folder


def painted(page: Page, canvas: str) -> np.ndarray:
    """The pixels of a canvas, h×w×4."""
    width, height, pixels = page.evaluate(
        """(selector) => {
        const canvas = document.querySelector(selector), { width, height } = canvas;
        const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        return [width, height, [...copy.getImageData(0, 0, width, height).data]]; }""",
        canvas,
    )
    return np.array(pixels, np.uint8).reshape(height, width, 4)


def opacity(page: Page, element: str) -> float:
    return float(page.evaluate("(e) => getComputedStyle(document.querySelector(e)).opacity", element))


def test_evidence_against_a_class_has_its_own_colour(opened: Opened, two_sided: Path) -> None:
    page = opened(two_sided, "#image=cat.jpg")
    page.wait_for_selector("#large .tint")
    for canvas in ("#large .tint", "#large .heat", ".card .tint", "#large .switches canvas"):
        line = painted(page, canvas)[2].astype(int)
        assert line[2][0] > line[2][2] + 100, f"{canvas}: red, for the class"
        assert line[-3][2] > line[-3][0] + 100, f"{canvas}: blue, against it"
    line = painted(page, "#large .tint")[2]
    assert line[2][3] == line[-3][3] == int(127 * 3 * 0.5), "as strong as in the overlay of the run"
    assert line[len(line) // 2][3] < 5, "no evidence there: the image is visible"
    assert (opacity(page, "#large .tint"), opacity(page, "#large .heat")) == (1, 0)
    page.keyboard.press("1")
    assert (opacity(page, "#large .tint"), opacity(page, "#large .heat")) == (0, 0)
    page.keyboard.press("3")
    assert (opacity(page, "#large .tint"), opacity(page, "#large .heat")) == (1, 1)
    (legend,) = page.locator("#large .legend").all_inner_texts()
    assert "against" in legend
    assert legend.split()[-2] == "for"
    assert "for (red) and against (blue)" in page.locator("#large .side").inner_text()
    page.evaluate("go({ image: '', view: 'classes', of: 'cat' })")
    page.wait_for_selector(".mean canvas")
    line = painted(page, ".mean canvas")[2].astype(int)
    assert line[2][0] > line[2][2] + 100
    assert line[-3][2] > line[-3][0] + 100


def test_a_map_without_signs_is_drawn_as_strength_with_a_note(opened: Opened, two_sided: Path) -> None:
    page = opened(two_sided, "#image=car.jpg")
    page.wait_for_selector("#large .heat")
    assert page.locator("#large .tint").count() == 0
    assert opacity(page, "#large .heat") == 0.5
    assert page.locator("#large .legend .tag").inner_text() == "strength only"
    assert "only its strength is known" in page.locator("#large .side").inner_text()
    assert len(page.locator("#tools .legend").all()) == 2, "some maps have signs, some have not"
