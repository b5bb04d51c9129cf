"""Measures the speed of a large report in a real browser: `python benchmarks/report_scale.py [--images 100000]`.

Explains `sample_images/`, writes a journal that repeats their rows with other names and figures, builds its report,
opens it from disk in Chromium, and times the actions of a person. Needs playwright and a
Chromium (`CHROMIUM=/usr/bin/chromium`). Two times of each action: from the event to the second frame after it, which
includes at least one frame of some 16 ms, and the processor time of the page's main thread, which other work on the
machine does not change. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from cam_cli.demo import CLASSES
from cam_cli.models.options import ModelSpec
from cam_cli.pipeline import ExplainJob, run
from cam_cli.report import build_report

SAMPLES = Path(__file__).parents[1] / "sample_images"
#: Takes the place of the action; the page's content security policy forbids `eval`.
TIMED = """async () => {
  const frame = () => new Promise(requestAnimationFrame), began = performance.now();
  await (%s);
  await frame(); await frame();
  return performance.now() - began;
}"""
TYPED = "(() => { const s = document.getElementById('search'); s.value = %r; s.dispatchEvent(new Event('input')); })()"
ACTIONS = {
    "filter: wrong only": "go({ right: 'wrong' })",
    "filter: back to all": "go({ right: '' })",
    "search, first letter": TYPED % "d",
    "search, two words": TYPED % "dog 77",
    "search, cleared": TYPED % "",
    "filter: class and border": "go({ class: 'dog', border: '0.1~' })",
    "filter: cleared": "clearFilters()",
    "sort by probability, first time": "go({ sort: 'prob', desc: '1' })",
    "sort by name, first time": "go({ sort: 'image', desc: '' })",
    "sort by probability, again": "go({ sort: 'prob' })",
    "table": "go({ view: 'table' })",
    "confusion": "go({ view: 'confusion' })",
    "distribution": "go({ view: 'distribution' })",
    "classes": "go({ view: 'classes' })",
    "page of a class": "go({ of: classes[columns.class[0]] })",
    "calibration": "go({ view: 'calibration', of: '' })",
    "calibration, wrong only": "go({ right: 'wrong' })",
    "scatter": "go({ view: 'scatter', right: '' })",
    "scatter, other measures": "go({ x: 'area', y: 'border' })",
    "gallery": "go({ view: 'gallery', sort: 'input' })",
    "scroll: one screen": "scrollBy(0, 900)",
    "scroll: to the middle": "scrollTo(0, document.body.scrollHeight / 2)",
    "scroll: to the end": "scrollTo(0, document.body.scrollHeight)",
}


def synthetic(folder: Path, images: int) -> None:
    """Replaces the journal of a run by one of `images` rows that show the images of the run."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    chance = random.Random(0)
    with open(folder / "manifest.jsonl", "w") as file:
        for index in range(images):
            file.write(json.dumps(varied(rows[index % len(rows)], index, chance)) + "\n")


def varied(row: dict[str, Any], index: int, chance: random.Random) -> dict[str, Any]:
    """A row with another name, label and probability."""
    label = chance.choice(CLASSES)
    right = chance.random() < 0.8
    name = label if right else chance.choice(CLASSES)
    best = {"index": CLASSES.index(name), "name": name, "prob": chance.random()}
    shown = {**row["maps"][0], "target_index": best["index"], "target_name": name}
    shown |= {"area": chance.random() / 3, "border": chance.random() / 2}
    known = {"image": f"{label}/{index:06}.jpg", "index": index, "label": label, "correct": name == label}
    return {**row, **known, "top": [best, *row["top"][1:]], "maps": [shown]}


def measured(page_file: str) -> dict[str, Any]:
    """Seconds until the page shows its cards, and milliseconds of every action: until its frame, of processor."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", shutil.which("chromium")), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        began = time.perf_counter()
        page.goto(Path(page_file).resolve().as_uri())
        page.wait_for_selector(".cards .card canvas", timeout=120_000)
        opened = time.perf_counter() - began
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def worked() -> float:
            return next(
                m["value"] for m in session.send("Performance.getMetrics")["metrics"] if m["name"] == "TaskDuration"
            )

        times: dict[str, dict[str, float]] = {}
        for name, action in ACTIONS.items():
            before = worked()
            seen = page.evaluate(TIMED % action)
            times[name] = {"seen": round(seen, 1), "processor": round(1000 * (worked() - before), 1)}
            page.wait_for_timeout(300)
        steps = "for (let i = 0; i < 120; i++) { scrollBy(0, 400); await new Promise(requestAnimationFrame); }"
        before = worked()
        page.evaluate(TIMED % f"(async () => {{ scrollTo(0, 0); {steps} }})()")
        smooth = 1000 * (worked() - before) / 120
        browser.close()
    return {
        "opened_s": round(opened, 2),
        "ms": times,
        "processor_ms_per_frame_scrolling": round(smooth, 1),
        "console": complaints,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--keep", help="write the run here and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.keep or Path(scratch, "out"))
        run(ExplainJob(sources=(str(SAMPLES),), model=ModelSpec("demo"), output=str(folder), overwrite=True))
        synthetic(folder, options.images)
        began = time.perf_counter()
        page_file = build_report(str(folder))
        made = round(time.perf_counter() - began, 2)
        size = sum(path.stat().st_size for path in folder.glob("report/data/*"))
        print(json.dumps({"made_s": made, "data_mb": round(size / 1e6, 1), **measured(page_file)}, indent=2))


if __name__ == "__main__":
    main()
