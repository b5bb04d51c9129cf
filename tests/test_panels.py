"""`--panel` and `--size N!`: readable images for any size and name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.images.geometry import Frame
from cam_cli.maps.colormaps import palette
from cam_cli.outputs.caption_words import Caption, Named, caption_of
from cam_cli.outputs.drawing import Drawing, draw_overlay
from cam_cli.outputs.options import PANEL, Rendering
from cam_cli.outputs.panel import PARTS, draw_panel

from .conftest import TINY
from .explain_support import journal
from .hostile_names import names

Camx = Callable[..., int]


def drawing(width: int = 300, height: int = 260, caption: Caption | None = None, left: float = 0) -> Drawing:
    canvas = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    heat = np.array([[0, 1], [0.5, 0]], np.float32)
    return Drawing(canvas, heat, heat * 3, Frame(left, 0, width, height), caption=caption)


def pixels(image: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    return np.asarray(image.crop(box))


def test_a_panel_is_its_parts_side_by_side() -> None:
    look = Rendering(panel=PANEL, draw="contour")
    one = drawing(left=50)
    panel = draw_panel(one, look)
    assert panel.size == (3 * 300 + 4 * 8, 260 + 2 * 8), "without words there is no strip for them"
    image, overlay, heat = (pixels(panel, (x, 8, x + 300, 268)) for x in (8, 316, 624))
    assert (image == one.canvas).all()
    assert (overlay == np.asarray(draw_overlay(one, look))).all()
    assert (heat[:, :50] == 64).all(), "what the network did not see has no colour of the map"
    assert {*map(tuple, heat[:, 50:].reshape(-1, 3).tolist())} <= {*map(tuple, palette("turbo").tolist())}
    assert draw_panel(one, dataclasses.replace(look, panel="map")).size == (320 + 16, 276)


@pytest.mark.parametrize(
    ("size", "tile"), [((32, 32), (256, 256)), ((32, 8), (256, 64)), ((300, 2), (300, 2)), ((1, 64), (4, 256))]
)
def test_a_small_image_is_enlarged_until_it_can_be_read(size: tuple[int, int], tile: tuple[int, int]) -> None:
    caption = Caption((Named("cat"), Named("93.1 %")), (), Named("a.png"), correct=False)
    panel = draw_panel(drawing(*size, caption), Rendering(panel=PANEL))
    strip = panel.crop((0, tile[1] + 16, *panel.size))
    assert panel.width == max(320, 3 * tile[0] + 16) + 16
    assert 30 <= strip.height <= 90
    assert (np.asarray(strip) < 100).any(-1).sum() > 100, "there are words in it"
    orange = (np.asarray(strip).astype(int) - (213, 94, 0)).__abs__().sum(-1) < 30
    assert orange[:, panel.width // 2 :].any(), "it says at the right end that this is wrong"
    assert not orange[:, : panel.width // 2].any()


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def row(**more: Any) -> Any:
    top = [{"index": 3, "name": "cat", "prob": 0.93142}, {"index": 5, "name": "dog", "prob": 0.04}]
    return {"image": "a/b.png", "status": "ok", "label": "", "top": top, **more}


def map_of(**more: Any) -> Any:
    return {"method": "gradcam", "layer": "l", "target_index": 3, "target_name": "cat", "target_prob": 0.93142, **more}


DOG = {"target_index": 5, "target_name": "dog", "target_prob": 0.04}
WRONG = {"label": "dog", "correct": False, "label_index": 5, "label_prob": 0.04}


@pytest.mark.parametrize(
    ("image", "shown", "options", "said", "more"),
    [
        (row(), map_of(), {}, "cat 93.1 %", ""),
        (row(label="cat", correct=True), map_of(), {}, "cat 93.1 %", ""),
        (row(**WRONG), map_of(), {}, "cat 93.1 %", "label dog 4.0 %"),
        (row(**WRONG), map_of(**DOG), {}, "cat 93.1 %", "label dog 4.0 % · map of dog 4.0 % (gradcam)"),
        (row(), map_of(), {"several": True}, "cat 93.1 %", "map of cat 93.1 % (gradcam)"),
        (row(), map_of(), {"shares": True}, "cat 93.1 % of the pixels", ""),
        (row(label="unknown"), map_of(), {}, "cat 93.1 %", "label unknown"),
        (row(top=[]), map_of(target_name="word", target_prob=0.99999), {}, "word >99.9 %", ""),
        (row(top=[]), map_of(target_name="age", target_value=41.23456), {}, "age 41.23", ""),
        (row(), map_of(concept=2, concept_classes=row()["top"]), {}, "cat 93.1 %", "map of concept 2, cat dog (gradcam)"),
    ],
)  # fmt: skip
def test_the_words_of_a_panel(image: Any, shown: Any, options: dict[str, bool], said: str, more: str) -> None:
    caption = caption_of(image, shown, **options)
    assert " ".join(one.text for one in caption.first) == said
    assert " ".join(one.text for one in caption.more) == more
    assert (caption.image.text, caption.correct) == ("a/b.png", image.get("correct"))


def strip(name: str) -> bytes:
    """The texts of a panel for a class of this name."""
    shown = caption_of(row(top=[{"index": 7, "name": name, "prob": 0.5}]), map_of(target_index=7, target_name=name))
    panel = draw_panel(drawing(caption=shown), Rendering(panel="image"))
    return panel.crop((0, 276, *panel.size)).tobytes()


def test_a_name_without_letters_in_the_font_is_the_number_of_its_class() -> None:
    assert strip("猫") == strip("犬") == strip("class 7")
    assert strip("Käfer, ½") == strip("Kafer, 1⁄2")
    assert strip("a猫") == strip("a?") != strip("a")
    assert strip("two\nlines") == strip("two?lines")


def test_no_name_ends_a_panel_or_leaves_its_strip() -> None:
    look = Rendering(panel="image")
    for name in [*names(60), "x" * 5000, "long name of a class " * 50]:
        one = row(image=name, top=[{"index": 7, "name": name, "prob": 0.5}], **{**WRONG, "label": name})
        panel = draw_panel(drawing(caption=caption_of(one, map_of(**DOG))), look)
        edge = pixels(panel, (0, 276, 4, panel.height)), pixels(panel, (panel.width - 4, 276, *panel.size))
        assert all((side == 255).all() for side in edge), name
        assert panel.size == draw_panel(drawing(caption=caption_of(row(**WRONG), map_of(**DOG))), look).size


def test_panels_lie_in_a_folder_of_their_own(camx: Camx, images: Path) -> None:
    words = ("explain", images, *TINY, "--labels", "folder", "--panel", "image,overlay", "-q")
    assert camx(*words, "--format", "jpg", "-o", "one") == 0
    for one in journal(Path("one")):
        (shown,) = one["maps"]
        assert shown["panel"] == f"panels/{one['image']}.jpg"
        with Image.open(Path("one", shown["panel"])) as image:
            assert image.format == "JPEG"
            assert image.width == 2 * 256 + 24
        assert shown["panel"] in one["files"]
    assert json.loads(Path("one/run.json").read_text())["fingerprint"]["rendering"]["panel"] == ["image", "overlay"]
    assert "panels/" in Path("one/report/index.html").read_text()
    assert camx(*words, "--target", "top:2", "--no-report", "-o", "two") == 0
    maps = [shown for one in journal(Path("two")) for shown in one["maps"]]
    assert all(shown["panel"].endswith(f".gradcam.{shown['target_index']}.png") for shown in maps)
    assert len({shown["panel"] for shown in maps}) == len(maps) == 2 * len(journal(Path("two")))
    lost = Path("two", maps[0]["panel"])
    lost.unlink()
    assert camx(*words, "--target", "top:2", "--no-report", "-o", "two") == 0
    assert lost.exists(), "a panel is a file of its image like any other"
    assert camx(*words[:-3], "-q", "--overwrite", "-o", "two") == 0
    assert not [*Path("two").glob("panels/**/*.png")]


def test_small_images_are_enlarged_where_that_is_asked_for(camx: Camx, tmp_path: Path) -> None:
    small = Image.effect_noise((32, 24), 90).convert("RGB")
    small.save(tmp_path / "small.png")
    small.resize((640, 480)).save(tmp_path / "large.png")
    words = ("explain", tmp_path / "small.png", tmp_path / "large.png", *TINY, "--no-report", "-q")
    words = (*words, "--save", "overlay,heatmap,mask", "--draw", "box")
    assert camx(*words, "--size", "256!", "-o", "enlarged") == camx(*words, "--size", "256", "-o", "usual") == 0
    rows = {out: {one["image"]: one for one in journal(Path(out))} for out in ("enlarged", "usual")}
    for kind in ("overlay", "heatmap", "mask"):
        sizes = {
            (out, image): size_of(Path(out, one["maps"][0][kind]))
            for out, each in rows.items()
            for image, one in each.items()
        }
        assert sizes == {
            ("enlarged", "small.png"): (256, 192),
            ("enlarged", "large.png"): (256, 192),
            ("usual", "small.png"): (32, 24),
            ("usual", "large.png"): (256, 192),
        }, kind
    for image, one in rows["usual"].items():
        own = rows["enlarged"][image]
        assert (own["width"], own["height"], own["frame"], own["top"]) == (
            one["width"],
            one["height"],
            one["frame"],
            one["top"],
        )
        assert own["maps"] == one["maps"], "measures and boxes do not depend on the size"
    (before,) = (Path("enlarged", rows["enlarged"]["small.png"]["maps"][0]["overlay"]) for _ in "1")
    data = before.read_bytes()
    assert camx(*words, "--size", "256!", "-o", "enlarged") == 0
    assert before.read_bytes() == data
    assert camx(*words, "--size", "256", "-o", "enlarged") == 2, "another size is another run"


@pytest.mark.parametrize(
    ("size", "message"),
    [("8!", "give 16! to 4096!"), ("5000!", "give 16! to 4096!"), ("model!", "512! to enlarge small images"),
     ("512!!", "512! to enlarge small images"), ("!", "give a number"), ("big", "give a number of pixels")],
)  # fmt: skip
def test_a_size_that_is_none_is_refused(size: str, message: str) -> None:
    with pytest.raises(CamxError, match=message):
        Rendering(size=size)


def test_parts_of_panels_are_those_that_can_be_named() -> None:
    assert tuple(PARTS) == PANEL
    with pytest.raises(CamxError, match="`panel` 'heat' is unknown"):
        Rendering(panel="heat")
