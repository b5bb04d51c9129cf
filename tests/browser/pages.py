"""Pages of reports as a test opens them, and the runs behind them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cam_cli.report import build_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = '"><img src=x onerror=window.pwned=1>.jpg'
HOSTILE_CLASS = "</script><script>window.pwned=1</script>"


class Opened:
    """A page opened from disk. At the end of a test the console must have no errors, and nothing may be loaded from
    elsewhere."""

    def __init__(self, browser: Browser) -> None:
        self.browser, self.pages = browser, []
        self.complaints: list[str] = []

    def __call__(self, folder: Path, address: str = "", width: int = 1280, height: int = 900, **context: Any) -> Page:
        page = self.browser.new_page(viewport={"width": width, "height": height}, **context)
        self.pages.append(page)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._requested(request.url, folder))
        page.goto((folder / "report" / "index.html").resolve().as_uri() + address)
        page.wait_for_selector("[aria-current=page]")
        return page

    def _requested(self, url: str, folder: Path) -> None:
        if not url.startswith(("data:", folder.resolve().as_uri())):
            self.complaints.append(f"loaded {url}")


def until(page: Page, condition: str, seconds: float = 30) -> None:
    """Waits until the JavaScript expression holds; fails after `seconds`.

    Asks from outside: `page.wait_for_function` evaluates the string in the page at every further try, which the page's
    content security policy forbids.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"after {seconds} seconds still not: {condition}"
        page.wait_for_timeout(20)


def names(page: Page) -> list[str]:
    """The names of the images in sight, in order."""
    return page.evaluate("[...chosen].map((i) => columns.image[i])")  # type: ignore[no-any-return]


def many(out: Path, folder: Path, count: int) -> Path:
    """A run of many images with the rows of another run under other names."""
    (folder / "report").mkdir(parents=True)
    shutil.copytree(out / "report" / "thumbs", folder / "report" / "thumbs")
    shutil.copy(out / "run.json", folder / "run.json")
    known = [
        row for line in (out / "manifest.jsonl").read_text().splitlines() if (row := json.loads(line))["status"] == "ok"
    ]
    with open(folder / "manifest.jsonl", "w") as file:
        for index in range(count):
            row = known[index % len(known)] | {"image": f"{index:06}.jpg", "index": index}
            row["top"] = [{**row["top"][0], "prob": index / count}]
            file.write(json.dumps(row) + "\n")
    build_report(str(folder))
    return folder
