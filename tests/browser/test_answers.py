"""The report of answers in a real browser: questions are buttons that show the maps of their answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cli.main import run

from .pages import Opened

pytestmark = [pytest.mark.browser, pytest.mark.extras, pytest.mark.filterwarnings("ignore")]
FIXTURE = Path(__file__).parents[1] / "fixtures" / "tiny_answerer"


@pytest.mark.extras
def test_questions_are_buttons_that_show_their_maps(opened: Opened, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tools.tiny_clip import scenes

    images = tmp_path / "images"
    images.mkdir()
    for number, (pixels, _) in enumerate(scenes(2, 7)):
        Image.fromarray(pixels).save(images / f"{number}.png")
    (tmp_path / "q.csv").write_text(
        "image,question,answer\n0.png,is there a red shape?,<b>no</b>\n0.png,what colour is the shape on the left?,\n"
        "1.png,is there a blue shape?,yes|no\n"
    )
    given = ("--model", f"hf:{FIXTURE}", "--device", "cpu", "--questions", tmp_path / "q.csv")
    assert run([str(one) for one in ("ask", images, *given, "-q", "-o", tmp_path / "out")]) == 0
    page = opened(tmp_path / "out")
    assert page.locator(".card .said").first.inner_text().startswith("is there a red shape? ")
    page.locator(".card").first.click()
    buttons = page.locator("#large button.answer")
    assert buttons.count() == 2
    assert "is <b>no</b>" in buttons.first.inner_text()
    assert buttons.first.get_attribute("aria-pressed") == "true"
    before = page.evaluate("document.querySelector('#large canvas.heat').toDataURL()")
    buttons.last.click()
    assert buttons.last.get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.querySelector('#large canvas.heat').toDataURL()") != before
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    assert page.locator(".card").count() == 1
