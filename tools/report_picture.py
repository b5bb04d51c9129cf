"""Writes the screenshot of the report from `sample_images/`: `python tools/report_picture.py docs/report.jpg`.

Needs playwright and a Chromium (`CHROMIUM=/usr/bin/chromium`).
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path

from PIL import Image

from cam_cli.models.options import ModelSpec
from cam_cli.pipeline import ExplainJob, run

SAMPLES = Path(__file__).parents[1] / "sample_images"
WIDTH, HEIGHT = 1280, 800


def main(target: str) -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run(ExplainJob(sources=(str(SAMPLES),), model=ModelSpec("demo"), output=folder + "/out"))
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(Path(folder, "out", "report", "index.html").as_uri())
        page.locator(".card canvas").nth(11).wait_for()
        page.wait_for_timeout(300)
        shot = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    shot.convert("RGB").save(target, quality=86, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
