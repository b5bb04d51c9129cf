"""The report of captions in a real browser: the words of a sentence are buttons that show their maps."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cli.main import run

from .pages import Opened

pytestmark = [pytest.mark.browser, pytest.mark.extras, pytest.mark.filterwarnings("ignore")]
FIXTURE = Path(__file__).parents[1] / "fixtures" / "tiny_captioner"


@pytest.mark.extras
def test_words_are_buttons_that_show_their_maps(opened: Opened, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tools.tiny_clip import scenes

    images = tmp_path / "images"
    images.mkdir()
    for number, (pixels, _) in enumerate(scenes(2, 7)):
        Image.fromarray(pixels).save(images / f"{number}.png")
    given = ("--model", f"hf:{FIXTURE}", "--device", "cpu", "--text", "a red shape and <b>a</b> blue shape")
    assert run([str(one) for one in ("caption", images, *given, "-q", "-o", tmp_path / "out")]) == 0
    page = opened(tmp_path / "out")
    assert page.locator(".card .said").first.inner_text() == "a red shape and <b>a</b> blue shape"
    page.locator(".card").first.click()
    words = page.locator("#large button.word")
    assert {"red", "blue", "shape"} <= {*words.all_inner_texts()}
    assert words.first.get_attribute("aria-pressed") == "true"
    before = page.evaluate("document.querySelector('#large canvas.heat').toDataURL()")
    blue = page.locator("#large button.word", has_text="blue")
    blue.click()
    assert blue.get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.querySelector('#large canvas.heat').toDataURL()") != before
    assert "blue" in page.locator("#large dl").inner_text()
