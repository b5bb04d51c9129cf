"""A browser, and the report of one run over the sample images, for all tests of this folder."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.main import run

from .pages import HOSTILE, HOSTILE_CLASS, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SAMPLES = Path(__file__).parents[2] / "sample_images"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found is None:
        pytest.skip("there is no Chromium on the PATH and none in CHROMIUM")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the sample images, with labels, two methods, two classes each, one broken file, and hostile names."""
    folder = tmp_path_factory.mktemp("report")
    images = folder / "images"
    shutil.copytree(SAMPLES, images)
    shutil.copy(images / "cat.jpg", images / HOSTILE)
    (images / "broken.jpg").write_text("no picture")
    from cam_cli.demo import CLASSES

    names = [HOSTILE_CLASS if name == "house" else name for name in CLASSES]
    (folder / "names.json").write_text(json.dumps(names))
    with open(folder / "labels.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label"])
        for path in sorted(images.iterdir()):
            first = path.stem.split("-")[0]
            label = HOSTILE_CLASS if first in ("house", "rabbit") else "cat" if path.name == HOSTILE else first
            table.writerow([path.name, label if label in names else "cat"])
    argv = ["explain", images, "--model", "demo", "--device", "cpu", "--class-names", folder / "names.json", "--labels", folder / "labels.csv",
            "--method", "gradcam", "--method", "cam", "--target", "top:2", "--save", "overlay,heatmap", "-o", folder / "out", "-q", "--max-failures", 1]  # fmt: skip
    assert run([str(word) for word in argv]) == 0
    return folder / "out"


@pytest.fixture(scope="package")
def rows(out: Path) -> dict[str, dict[str, Any]]:
    lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    return {row["image"]: row for row in sorted(lines, key=lambda row: row["index"])}


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    opened = Opened(browser)
    yield opened
    for page in opened.pages:
        assert page.evaluate("window.pwned") is None
        page.close()
    assert opened.complaints == []
