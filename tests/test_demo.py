"""The demo model and its training images."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_cli import Explainer, ExplainOptions, load_model
from cam_cli.cams.engine.targets import Target
from cam_cli.demo import CLASSES, render, samples, write_dataset
from cam_cli.errors import CamxError
from cam_cli.images.listing import find
from cam_cli.maps.heatmap import normalised, placed
from cam_cli.models.gap import GapNetwork

ROOT = Path(__file__).parents[1]


def test_a_seed_is_an_image() -> None:
    one, again, other = (render(seed, (96, 72), ("cat", "dog")) for seed in (5, 5, 6))
    assert one.image.size == (96, 72)
    assert [drawn.name for drawn in one.objects] == ["cat", "dog"]
    assert np.array_equal(np.asarray(one.image), np.asarray(again.image))
    assert not np.array_equal(np.asarray(one.image), np.asarray(other.image))
    masks = [drawn.mask for drawn in one.objects]
    assert all(mask.shape == (72, 96) and mask.any() for mask in masks)
    assert not (masks[0] & masks[1]).any(), "a pixel shows one object"


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_drawn(name: str) -> None:
    (drawn,) = render(11, (80, 80), (name,)).objects
    assert (drawn.name, drawn.index) == (name, CLASSES.index(name))
    assert 0.02 < drawn.mask.mean() < 0.6


def test_a_data_set_depends_on_its_seed_alone(tmp_path: Path) -> None:
    def written(folder: Path, processes: int) -> dict[str, str]:
        write_dataset(folder, per_class=3, seed=1, size=(32, 32), val_share=0.34, processes=processes)
        files = sorted(folder.rglob("*.jpg"))
        return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}

    one, two = written(tmp_path / "one", 1), written(tmp_path / "two", 2)
    assert one == two
    assert len(one) == 3 * len(CLASSES)
    assert {name.split("/")[0] for name in one} == {"train", "val"}


def test_the_model_is_small_works_offline_and_knows_its_classes() -> None:
    network = load_model("demo")
    assert network.name == "demo"
    assert network.classes.names == CLASSES
    assert (ROOT / "cam_cli" / "demo" / "demo.safetensors").stat().st_size < 3_000_000


@pytest.mark.long
def test_the_recipe_is_that_of_the_model(camx: Callable[..., int], tmp_path: Path) -> None:
    """`configs/demo.toml` runs, and trains the architecture, layer and preprocessing of the shipped network."""
    write_dataset(tmp_path / "pictures", per_class=3, size=(32, 32), val_share=0.34, processes=1)
    recipe = ("--config", ROOT / "configs" / "demo.toml", "--epochs", 1, "--train-size", 32, "--device", "cpu")
    assert camx("train-gap", tmp_path / "pictures", *recipe, "-o", tmp_path / "made") == 0
    made, shipped = (load_model(name) for name in (str(tmp_path / "made"), "demo"))
    assert made.preprocessing == shipped.preprocessing
    assert isinstance(made.module, GapNetwork)
    assert isinstance(shipped.module, GapNetwork)
    assert made.module.design == shipped.module.design
    shapes = [{name: p.shape for name, p in one.module.named_parameters()} for one in (made, shipped)]
    assert shapes[0] == shapes[1]


def test_cam_is_exact() -> None:
    explainer = Explainer(load_model("demo"), ExplainOptions(methods=("gradcam", "cam"), device="cpu"))
    assert explainer.layer.name == "maps"
    for explanation in explainer([render(seed, (160, 160), ("fish",)).image for seed in range(4)]):
        gradcam, cam = (shown.values for shown in explanation.maps)
        assert np.abs(gradcam * gradcam.size - cam).max() < 1e-5 * max(1.0, float(np.abs(cam).max()))


@pytest.mark.long
def test_it_finds_the_objects() -> None:
    """A small sample of `benchmarks/demo.py`; the figures are in docs/demo.md."""
    explainer = Explainer(
        load_model("demo"), ExplainOptions(methods=("cam",), targets=(Target("top", 12),), device="cpu")
    )
    scenes = [render(5_000_000 + n, (160, 160), (CLASSES[n % 12],)) for n in range(48)]
    pairs = [render(6_000_000 + n, (160, 160), (CLASSES[n % 12], CLASSES[(n + 5) % 12])) for n in range(24)]
    right = inside = inside_pairs = 0
    for explanation, scene in zip(explainer([s.image for s in scenes + pairs]), scenes + pairs):
        for drawn in scene.objects:
            heat = normalised(next(m.values for m in explanation.maps if m.prediction.index == drawn.index))
            assert heat is not None
            large = placed(heat, explanation.picture.frame, 160, 160)
            hit = bool(drawn.mask[np.unravel_index(large.argmax(), large.shape)])
            if len(scene.objects) == 1:
                right += explanation.ranking[0].index == drawn.index
                inside += hit
            else:
                inside_pairs += hit
    assert right >= 0.9 * 48
    assert inside >= 0.85 * 48
    assert inside_pairs >= 0.75 * 48


def test_the_package_draws_the_sample_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path / "cache"))
    found = find(["demo:"])
    kept = sorted(path.name for path in (ROOT / "sample_images").iterdir())
    assert [source.key for source in found.sources] == kept
    assert len(kept) == 16
    labels = {source.key: source.labels for source in found.sources}
    assert labels["cat-and-dog.jpg"] == ("cat", "dog")
    assert labels["mushroom.png"] == ("mushroom",)
    assert {name for each in labels.values() for name in each} <= {*CLASSES}
    for source in found.sources:
        with Image.open(source.path) as drawn, Image.open(ROOT / "sample_images" / source.key) as there:
            assert (drawn.size, drawn.mode, drawn.getexif()) == (there.size, there.mode, there.getexif())
            same, other = (np.asarray(one.convert("RGB"), np.int16) for one in (drawn, there))
            assert np.abs(same - other).mean() < 2, source.key
    before = [source.path for source in found.sources]
    monkeypatch.setattr(samples, "render", lambda *_: pytest.fail("they are drawn once"))
    assert [source.path for source in find(["demo:"]).sources] == before
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("")
    with pytest.raises(CamxError, match="CAMX_CACHE"):
        find(["demo:"])


def test_nothing_but_the_demo_loads_the_code_that_draws() -> None:
    code = "import sys, cam_cli, cam_cli.pipeline.job, cam_cli.images.listing, cli.main\n"
    code += "print([name for name in sys.modules if name.startswith('cam_cli.demo')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_sample_images(camx: Callable[..., int]) -> None:
    assert camx("explain", ROOT / "sample_images", "--model", "demo", "--device", "cpu") == 0
    with open("camx-out/predictions.csv", newline="", encoding="utf-8") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert 12 <= len(rows) <= 24
    for image, row in rows.items():
        shown = Path(image).stem.split("-and-")
        assert row["top1_name"] in shown, image
        if len(shown) == 2:
            assert {row["top1_name"], row["top2_name"]} == set(shown)
        with Image.open(Path("camx-out") / row["overlay"]) as overlay:
            assert max(overlay.size) == 512
    assert (rows["rabbit.jpg"]["width"], rows["rabbit.jpg"]["height"]) == ("480", "640"), "upright"


@pytest.mark.long
def test_the_first_run_of_a_new_user_can_be_audited(
    camx: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path / "cache"))
    words = ("explain", "demo:", "--model", "demo", "--target", "label", "--no-report")
    assert camx(*words) == 0
    assert "top-1 accuracy 100.0% on 16 labelled images" in capsys.readouterr().out
    assert camx("audit", "camx-out") == 0
    capsys.readouterr()
    assert camx(*words, "-v") == 0
    assert "None" not in capsys.readouterr().err, "no advice on the speed of a run that had nothing to do"
