"""Writes the screenshot of the groups of an audited run: `python tools/groups_picture.py biased docs/groups.jpg`.

The run is that of `docs/audit.md`, after `camx audit biased --by mark,class --cross`. Needs playwright and a Chromium
(`CHROMIUM=/usr/bin/chromium`).
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from PIL import Image

ADDRESS = "#view=groups&of=mark+%C3%97+class&metric=cam_border"
WIDTH, HEIGHT = 1000, 668


def main(run: str, target: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(Path(run, "report", "index.html").resolve().as_uri() + ADDRESS)
        page.wait_for_selector(".means canvas")
        page.wait_for_timeout(500)
        shot = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    shot.convert("RGB").save(target, quality=84, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
