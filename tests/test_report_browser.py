"""The report in a real browser, opened from disk: what a person clicks, types and sees."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from cam_cli.report import build_report
from cli.main import run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

SAMPLES = Path(__file__).parents[1] / "sample_images"
HOSTILE = '"><img src=x onerror=window.pwned=1>.jpg'
HOSTILE_CLASS = "</script><script>window.pwned=1</script>"


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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def rows(out: Path) -> dict[str, dict[str, Any]]:
    lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    return {row["image"]: row for row in sorted(lines, key=lambda row: row["index"])}


class Opened:
    """A page opened from disk; leaving the test, nothing may have been complained of or loaded from elsewhere."""

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


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    opened = Opened(browser)
    yield opened
    for page in opened.pages:
        assert page.evaluate("window.pwned") is None
        page.close()
    assert opened.complaints == []


def names(page: Page) -> list[str]:
    """The images in sight, in order."""
    return page.evaluate("[...chosen].map((i) => columns.image[i])")  # type: ignore[no-any-return]


def test_a_gallery_of_all_images(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out)
    assert names(page) == list(rows)
    page.wait_for_function(f"document.querySelectorAll('.card canvas').length === {len(rows) - 1}")
    assert page.locator(".card .missing").inner_text() == "not readable"
    assert page.locator("#facts").inner_text().split()[0] == str(len(rows))
    assert "centred" in str(page.locator(".card img").first.get_attribute("alt"))
    assert page.evaluate("document.images[0].naturalWidth") > 100


def test_filters_stand_in_the_address(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    wrong = [name for name, row in rows.items() if row.get("correct") is False]
    assert len(wrong) > 2
    page = opened(out, "#right=wrong")
    assert sorted(names(page)) == sorted(wrong)
    page.keyboard.press("w")
    assert names(page) == list(rows)
    page.fill("#search", "boat FISH")
    assert names(page) == ["fish-and-boat.jpg"]
    assert page.url.endswith("#q=boat+FISH")
    page.fill("#search", "")
    page.select_option("[aria-label=Class]", "cat")
    assert names(page) == [
        n for n, r in rows.items() if "cat" in (r["label"], *(m["target_name"] for m in r.get("maps", [])[:1]))
    ]
    page.select_option("[aria-label=Class]", "")
    page.fill("[aria-label='probability at least, percent']", "60")
    page.keyboard.press("Enter")
    sure = [name for name, row in rows.items() if row.get("top") and row["top"][0]["prob"] >= 0.6]
    assert names(page) == sure
    page.reload()
    page.wait_for_selector(".card")
    assert names(page) == sure
    page.select_option("[aria-label=Status]", "failed")
    assert names(page) == []
    page.click("text=Clear them")
    assert names(page) == list(rows)
    assert "#" not in page.url.rstrip("#")


def test_wrong_ones_come_surest_first(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    wrong = [name for name, row in rows.items() if row.get("correct") is False]
    surest = sorted(wrong, key=lambda name: -rows[name]["top"][0]["prob"])
    assert surest != wrong
    page = opened(out)
    page.click("#facts >> text=wrong")
    page.wait_for_function("location.hash === '#right=wrong'")
    assert names(page) == surest
    assert page.input_value("[aria-label=Order]") == "prob"
    page.click("[aria-label='Turn the order round']")
    assert names(page) == surest[::-1]
    page.select_option("[aria-label=Order]", "input")
    assert names(page) == wrong, "another order can be asked for"
    page.keyboard.press("w")
    assert names(page) == list(rows)
    page.keyboard.press("w")
    assert names(page) == wrong
    page.evaluate("go({ view: 'table', sort: '', desc: '' })")
    assert page.locator(".head .prob").get_attribute("aria-sort") == "descending"


def test_the_table_sorts(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=table")

    def probabilities() -> list[float]:
        *known, last = names(page)
        assert last == "broken.jpg", "without a value always last"
        return [rows[name]["top"][0]["prob"] for name in known]

    page.click(".head .prob")
    assert probabilities() == sorted(probabilities(), reverse=True)
    page.click(".head .prob")
    assert probabilities() == sorted(probabilities())
    assert page.locator(".head .prob").get_attribute("aria-sort") == "ascending"
    shown = page.locator(".rows .row .image").all_inner_texts()
    assert sorted(shown) == sorted(rows)
    page.click(".head .image")
    assert names(page) == sorted(rows)


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
    """Against the heatmap that the run wrote: the sketch has averaged it over at most 24 cells."""
    page = opened(out, "#image=car.jpg&map=gray&alpha=1")
    page.wait_for_selector("#large .heat")
    drawn = page.evaluate("""(() => { const c = document.querySelector('#large .heat');
        return [c.width, c.height, Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 === 0))]; })()""")
    canvas = np.array(drawn[2], float).reshape(drawn[1], drawn[0])
    with Image.open(out / rows["car.jpg"]["maps"][0]["heatmap"]) as image:
        heat = np.asarray(image.resize((drawn[0], drawn[1]), Image.Resampling.BILINEAR), float)
    assert np.corrcoef(canvas.ravel(), heat.ravel())[0, 1] > 0.97
    assert np.abs(canvas - heat).mean() < 8


@pytest.fixture(scope="module")
def two_sided(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps that speak for the class on the left and against it on the right; `car.jpg` is of a version without signs."""
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


def test_what_speaks_against_a_class_has_a_colour_of_its_own(opened: Opened, two_sided: Path) -> None:
    page = opened(two_sided, "#image=cat.jpg")
    page.wait_for_selector("#large .tint")
    for canvas in ("#large .tint", "#large .heat", ".card .tint", "#large .switches canvas"):
        line = painted(page, canvas)[2].astype(int)
        assert line[2][0] > line[2][2] + 100, f"{canvas}: red, for the class"
        assert line[-3][2] > line[-3][0] + 100, f"{canvas}: blue, against it"
    line = painted(page, "#large .tint")[2]
    assert line[2][3] == line[-3][3] == int(127 * 3 * 0.5), "as strong as in the overlay of the run"
    assert line[len(line) // 2][3] < 5, "nothing speaks there: the picture is seen"
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


def test_a_map_without_signs_is_drawn_as_strength_and_said_to_be(opened: Opened, two_sided: Path) -> None:
    page = opened(two_sided, "#image=car.jpg")
    page.wait_for_selector("#large .heat")
    assert page.locator("#large .tint").count() == 0
    assert opacity(page, "#large .heat") == 0.5
    assert page.locator("#large .legend .tag").inner_text() == "strength only"
    assert "only its strength is known" in page.locator("#large .side").inner_text()
    assert len(page.locator("#tools .legend").all()) == 2, "some maps have signs, some have not"


def test_the_keyboard_moves_and_opens(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out)
    page.wait_for_selector(".card")
    order = list(rows)
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#large[open]")
    start = order.index(page.locator("#large .bar strong").inner_text())
    assert start > 2, "a row below"
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"document.querySelector('.bar strong').textContent === {json.dumps(order[start + 1])}")
    page.go_back()
    page.wait_for_function("!document.getElementById('large').open")
    page.keyboard.press("/")
    page.keyboard.type("w1d")
    assert page.input_value("#search") == "w1d", "in a field the keys are letters"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    assert "view=table" in page.url


def test_hostile_names_are_shown_and_nothing_else(opened: Opened, out: Path) -> None:
    page = opened(out)
    page.locator(".name", has_text=HOSTILE).click()
    page.wait_for_selector("#large[open] .heat")
    assert page.locator("#large strong").inner_text() == HOSTILE
    page.keyboard.press("Escape")
    for view in ("table", "classes", "confusion", "distribution", "failures", "made"):
        page.evaluate(f"go({{ view: '{view}' }})")
        page.wait_for_timeout(50)
    page.evaluate("(of) => go({ view: 'classes', of })", HOSTILE_CLASS)
    page.wait_for_selector("h2")
    assert page.locator("#view h2").inner_text() == HOSTILE_CLASS
    assert page.evaluate("document.querySelectorAll('script').length") == 2


def test_the_policy_stops_what_is_not_the_own_script(opened: Opened, out: Path) -> None:
    page = opened(out)
    page.evaluate(
        "(() => { const s = document.createElement('script'); try { s.text = 'window.pwned = 1'; } catch {} document.body.append(s); })()"
    )
    page.evaluate(
        "(() => { const i = new Image(); i.src = 'https://example.invalid/x.png'; document.body.append(i); })()"
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.pwned") is None
    assert opened.complaints, "the browser says that it refused"
    opened.complaints.clear()


def test_a_cell_of_the_confusion_matrix_filters(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=confusion")
    page.locator(".matrix .miss a").first.click()
    page.wait_for_selector(".cards")
    found = names(page)
    (label,) = {rows[name]["label"] for name in found}
    (predicted,) = {rows[name]["top"][0]["name"] for name in found}
    assert label != predicted


def test_classes_failures_and_how_it_was_made(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=classes")
    page.click("table a >> text=cat")
    page.wait_for_selector(".mean canvas")
    page.go_back()
    page.wait_for_selector(".figures")
    page.click("text=Failures")
    assert "broken.jpg" in page.locator("#failures").inner_text()
    page.click("#tabs >> text=How")
    assert "timm==" in page.locator("#again").inner_text()
    assert "every path to the score" in page.locator("#made").inner_text()


def figures_of(name: str, rows: dict[str, Any]) -> list[str]:
    """What the page of a class says, one line for each set of images."""

    def line(images: list[Any], words: str, **shares: list[float]) -> str:
        means = [
            f"{100 * float(np.mean(values)):.1f}\u202f% {of.replace('_', ' ')}"
            for of, values in shares.items()
            if values
        ]
        text = f"{len(images)} image{'s' * (len(images) != 1)} {words}" + ": " * bool(means) + ", ".join(means)
        return text.replace("100.0", "100").replace("mean border", "mean border (even: 36.0\u202f%)")

    known = [row for row in rows.values() if "correct" in row]
    labelled = [row for row in known if row["label"] == name]
    lost = [row for row in rows.values() if row["label"] == name and "correct" not in row]
    predicted = [row for row in known if row["top"][0]["name"] == name]
    maps = [row["maps"][0] for row in known if row["maps"][0]["target_name"] == name]
    return [
        line(labelled, f"labelled {name}", right=[row["correct"] for row in labelled]),
        *([line(lost, f"labelled {name}, not explained")] if lost else []),
        line(predicted, f"predicted as {name}", mean_probability=[row["top"][0]["prob"] for row in predicted]),
        line(maps, f"whose first map is of {name}", mean_area=[m["area"] for m in maps], mean_border=[m["border"] for m in maps]),
    ]  # fmt: skip


def test_every_figure_of_a_class_says_which_images_it_is_of(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, "#view=classes")
    heads = page.locator(".figures .set").all_inner_texts()
    assert heads[1:] == ["images with this label", "images predicted as it", "images whose first map is of it"]
    lists = set()
    for name in page.locator(".figures tbody th").all_inner_texts():
        page.evaluate("(of) => go({ view: 'classes', of })", name)
        page.wait_for_selector(".sets")
        assert page.locator(".sets p").all_inner_texts() == figures_of(name, rows)
        for title in page.locator("#view h3:has(a)").all():
            words = title.inner_text()
            lists.add(words.split()[0])
            with opened.browser.new_page() as found:
                found.goto(page.url.split("#")[0] + str(title.locator("a").get_attribute("href")))
                found.wait_for_selector(".card")
                assert len(names(found)) == int(words.split()[-1]), f"{name}: {words}"
                assert found.input_value("[aria-label=Order]") == "prob"
    assert lists == {"Right,", "Labelled", "Taken"}, "each kind of list was met"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(opened: Opened, out: Path, scheme: Any) -> None:
    page = opened(out, width=390, height=844, color_scheme=scheme)
    for view in ("gallery", "table", "classes", "confusion", "distribution", "made"):
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


def many(out: Path, folder: Path, count: int) -> Path:
    """A run of so many images, whose rows are those of another run under other names."""
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


def printed(page: Page) -> str:
    """What stands above the images on paper."""
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".on-paper").is_visible()
    return page.locator(".on-paper").inner_text()


def test_all_of_a_small_report_is_printed(opened: Opened, out: Path, rows: dict[str, Any]) -> None:
    page = opened(out, width=390, height=300)
    page.wait_for_selector(".card")
    assert page.locator(".card").count() < len(rows)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector(f"text={list(rows)[-1]}")
    assert printed(page) == f"{len(rows)} images, by input order."
    assert [Path(name).name for name in page.locator(".card .name").all_inner_texts()] == list(rows)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".on-paper").count() == 0
    assert page.locator(".card").count() < len(rows)


def test_paper_says_what_is_not_printed(opened: Opened, out: Path, tmp_path: Path) -> None:
    page = opened(many(out, tmp_path / "many", 1_250), "#q=jpg&prob=0.1~&sort=prob&desc=1")
    page.wait_for_selector(".card canvas")
    found = len(names(page))
    assert 200 < found < 1_250
    words = printed(page)
    start = f"The first 200 of {found:,} images (probability 10.0\u202f%–, text jpg; 1,250 in all), by probability, descending. Filters choose what is printed."
    assert words.startswith(start)
    assert "pictures had not been loaded yet" in words, "of groups that were not in sight"
    assert page.locator(".card").count() == 200
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function("[...chosen.slice(0, 200)].every(isLoaded)")
    assert printed(page) == start
    table = opened(tmp_path / "many", "#view=table&q=000")
    words = "The first 200 of 1,001 images (text 000; 1,250 in all), by input order. Filters choose what is printed."
    assert printed(table) == words, "000000 to 000999, and 001000"
    assert table.locator(".rows .row").count() == 200


@pytest.mark.parametrize("count", [1_250, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_large_report_loads_what_comes_into_sight(opened: Opened, out: Path, tmp_path: Path, count: int) -> None:
    page = opened(many(out, tmp_path / "many", count))
    page.wait_for_selector(".card canvas")
    assert page.evaluate("imageCount") == count
    assert page.evaluate("detailGroups.size") < 3
    assert page.locator(".card").count() < 200
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector(f"text={count - 1:06}.jpg")
    page.wait_for_function("[...document.images].some((image) => image.naturalWidth > 50)")
    assert page.locator(".card").count() < 200
    page.fill("#search", f"{count // 2:06}")
    assert names(page) == [f"{count // 2:06}.jpg"]
    page.fill("#search", "")
    page.evaluate("go({ view: 'table', sort: 'prob', desc: '1' })")
    assert page.locator(".rows .row").first.inner_text().startswith(f"{count - 1:06}.jpg")


def test_a_large_report_shows_the_overlay_of_the_run_itself(opened: Opened, out: Path, tmp_path: Path) -> None:
    folder = many(out, tmp_path / "many", 201)
    shutil.copytree(out / "overlays", folder / "overlays")
    page = opened(folder, "#image=000001.jpg")
    visible = "document.querySelector('#large .exact').checkVisibility({ visibilityProperty: true })"
    page.wait_for_function("document.querySelector('#large .exact')?.naturalWidth > 256")
    assert page.evaluate(visible)
    for key, shown in (("1", False), ("2", True), ("3", False), ("2", True)):
        page.keyboard.press(key)
        assert page.evaluate(visible) == shown
    for colours, shown in (("gray", False), ("turbo", True)):
        page.evaluate("(map) => go({ map })", colours)
        page.wait_for_selector("#large .exact", state="attached")
        assert page.evaluate(visible) == shown, "other colours than those of the run are drawn from the sketch"
    page.keyboard.press("m")
    page.wait_for_function("decodeURI(document.querySelector('#large .exact').src).includes('.gradcam.')")
    small = opened(out, "#image=car.jpg")
    small.wait_for_selector("#large .heat")
    assert small.locator(".exact").count() == 0, "a single file loads nothing"


def test_a_missing_data_file_is_told(opened: Opened, out: Path, tmp_path: Path) -> None:
    folder = many(out, tmp_path / "many", 250)
    for path in (folder / "report" / "data").glob("*rows-0.js"):
        path.unlink()
    page = opened.browser.new_page()
    page.goto((folder / "report" / "index.html").as_uri())
    page.wait_for_selector("[role=alert]")
    assert "Keep the folder report/ together" in page.locator("[role=alert]").inner_text()
    page.close()


def test_a_training_and_its_epochs(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,seconds,best\r\n1,0.1,2,0.5,2,0.4,1,1\r\n2,0.1,1,0.7,nan,0.6,1,1\r\n"
    )
    record = {
        "fingerprint": {"command": "train-gap"},
        "best_epoch": 2,
        "classes": ["a", "b"],
        "confusion": [[3, 1], [0, 4]],
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    for epoch in (1, 2):
        (tmp_path / "cams" / f"epoch-{epoch:03}" / "a").mkdir(parents=True)
        Image.new("RGB", (40, 30), (epoch * 100, 0, 0)).save(
            tmp_path / "cams" / f"epoch-{epoch:03}" / "a" / "x.jpg.png"
        )
    build_report(str(tmp_path))
    page = opened(tmp_path)
    assert page.locator("#curves svg").count() == 2
    page.click("text=Over the epochs")
    picture = "document.querySelector('.samples img').src"
    last = page.evaluate(picture)
    page.focus(".epoch input")
    page.keyboard.press("ArrowLeft")
    assert "epoch 1 of 2" in page.locator("output").inner_text()
    assert page.evaluate(picture) != last
    page.click("#tabs >> text=Confusion")
    assert page.locator(".matrix .sum").all_inner_texts() == ["75.0\u202f%", "100\u202f%"]


VIEWS = ("", "#view=table", "#view=classes", "#view=classes&of=cat", "#view=confusion", "#view=distribution",
         "#view=failures", "#view=made", "#image=cat-and-dog.jpg", "#image=broken.jpg")  # fmt: skip


@pytest.mark.parametrize("look", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"width": 390, "height": 844}])
def test_axe_finds_no_barrier(opened: Opened, out: Path, look: Any) -> None:
    """Contrast, roles, landmarks, headings, names, and what else axe-core can see by itself."""
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
