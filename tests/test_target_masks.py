"""Masks that choose the pixels of an image for a segmentation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cam_cli.cams.tracing.regions import Regions
from cam_cli.errors import CamxError
from cam_cli.images.geometry import Preprocessing
from cam_cli.images.listing import find
from cam_cli.images.picture import Picture, Unreadable, load
from cam_cli.images.target_masks import EVERY_CLASS, NO_CLASS, MaskReading, with_masks
from cli.main import run

from .task_networks import BLUE, RED, SIDE, scene

PLAIN = Preprocessing((SIDE, SIDE), (SIDE, SIDE), "center", "bicubic", (0.0,) * 3, (1.0,) * 3)
NETWORK = "from tests.task_networks import Colours, network_of\n\ndef build():\n    return network_of(Colours('out'))\n"


def mask(place: tuple[slice, slice] = RED, level: int = 255) -> np.ndarray:
    levels = np.zeros((SIDE, SIDE), np.uint8)
    levels[place] = level
    return levels


def read(levels: np.ndarray, folder: Path, how: str = "object", preprocessing: Preprocessing = PLAIN) -> Picture | str:
    """The image of a scene with a mask, or the reason why it cannot be read."""
    scene().save(folder / "a.png")
    (folder / "masks").mkdir(exist_ok=True)
    Image.fromarray(levels).save(folder / "masks" / "a.png")
    (source,) = with_masks(find([str(folder / "a.png")]), str(folder / "masks")).sources
    found = load(source, preprocessing, masks=MaskReading("masks", how, 3))
    assert isinstance(found, (Picture, Unreadable))
    return found if isinstance(found, Picture) else found.reason


def values(found: Picture | str) -> np.ndarray:
    assert isinstance(found, Picture)
    assert found.mask is not None
    return found.mask


def test_a_mask_is_cut_as_the_image_is(tmp_path: Path) -> None:
    levels = mask((slice(0, 64), slice(0, 8)))
    inner = Preprocessing((48, 48), (64, 64), "center", "bicubic", (0.0,) * 3, (1.0,) * 3)
    assert (
        values(read(mask((slice(0, 64), slice(0, 20))), tmp_path, preprocessing=inner)) == EVERY_CLASS
    ).sum() == 12 * 48
    assert read(levels, tmp_path, preprocessing=inner) == "its mask 'a.png' marks no pixel that the network sees"
    assert set(np.unique(values(read(levels, tmp_path)))) == {EVERY_CLASS, NO_CLASS}


def test_levels_are_classes_and_255_is_none(tmp_path: Path) -> None:
    levels = mask(RED, 1)
    levels[BLUE], levels[:4] = 2, 255
    found = values(read(levels, tmp_path, "classes"))
    assert set(np.unique(found)) == {NO_CLASS, 0, 1, 2}
    assert (found[RED] == 1).all()
    assert (found[:4] == NO_CLASS).all()
    wide = Preprocessing((96, 96), (64, 64), "border", "bicubic", (0.5,) * 3, (1.0,) * 3)
    # Padding is no class, not class 0.
    assert (values(read(levels, tmp_path, "classes", wide))[:10] == NO_CLASS).all()


@pytest.mark.parametrize(
    ("levels", "how", "reason"),
    [
        (mask()[:50], "object", "64×50 pixels, and the image 64×64"),
        (mask() + mask(BLUE, 7), "object", "levels 0, 7, 255, more than one object"),
        (mask(RED, 9), "classes", "has the level 9, and the network classes 0 to 2"),
        (mask() * 0, "object", "marks no pixel"),
        (np.dstack([mask(), mask(BLUE), mask()]), "object", "a colour image"),
    ],
)
def test_a_mask_that_does_not_fit_is_the_error_of_its_image(
    levels: np.ndarray, how: str, reason: str, tmp_path: Path
) -> None:
    found = read(levels, tmp_path, how)
    assert isinstance(found, str)
    assert reason in found


def test_what_is_no_mask_is_named_without_objects_of_python(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(b"nothing")
    (source,) = with_masks(find([str(tmp_path / "a.png")]), str(tmp_path / "masks")).sources
    found = load(source, PLAIN, masks=MaskReading("masks", "object", 3))
    assert isinstance(found, Unreadable)
    assert found.reason == "its mask 'a.png' is no image of a known format"
    with pytest.raises(CamxError, match=r"a.png' is no folder. Give the folder that holds them"):
        with_masks(find([str(tmp_path / "a.png")]), str(tmp_path / "masks" / "a.png"))


def test_a_mask_of_stored_pixels_is_turned_with_its_image(tmp_path: Path) -> None:
    """Both ways to save the mask of a turned photo mark the same pixels."""
    stored = Image.fromarray(np.asarray(scene())[:40])
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "a.jpg", exif=exif)
    own = mask()[:40]
    seen = []
    for name, levels in (("stored", own), ("upright", np.rot90(own, -1))):
        (tmp_path / name).mkdir()
        Image.fromarray(np.ascontiguousarray(levels)).save(tmp_path / name / "a.png")
        (source,) = with_masks(find([str(tmp_path / "a.jpg")]), str(tmp_path / name)).sources
        found = load(source, PLAIN, masks=MaskReading(name, "object", 3))
        assert isinstance(found, Picture)
        seen.append(found.mask)
        # Red lies below the mask.
        assert found.mask is not None
        assert found.input[found.mask == EVERY_CLASS][:, 0].mean() > 150
    assert np.array_equal(seen[0], seen[1])


def test_the_score_is_the_sum_of_the_logits_over_the_mask() -> None:
    logits = torch.randn(2, 3, 8, 8)
    marked = torch.full((2, 16, 16), NO_CLASS, dtype=torch.int16)
    marked[:, :4, :8] = EVERY_CLASS
    found = Regions.predicted(logits, marked)
    assert torch.allclose(found.sums(logits), logits[:, :, :2, :4].sum((2, 3)), atol=1e-5)
    share = (logits.argmax(1)[0, :2, :4] == 1).float().mean()
    assert found.shares(3)[0, 1] == pytest.approx(float(share))
    by_class = torch.full((2, 8, 8), NO_CLASS, dtype=torch.int16)
    by_class[:, 0], by_class[:, 1] = 2, 0
    classes = Regions.predicted(logits, by_class)
    expected = torch.stack([logits[:, 0, 1].sum(1), torch.zeros(2), logits[:, 2, 0].sum(1)], 1)
    assert torch.allclose(classes.sums(logits), expected, atol=1e-5)
    assert classes.has(1).tolist() == [False, False]
    # A pixel smaller than a cell of the scores counts with its area.
    one = torch.full((1, 16, 16), NO_CLASS, dtype=torch.int16)
    one[:, 0, 0] = EVERY_CLASS
    assert torch.allclose(Regions.predicted(logits[:1], one).sums(logits[:1]), logits[:1, :, 0, 0] / 4, atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    for name, place in (("a", RED), ("b", BLUE), ("c", RED)):
        scene().save(tmp_path / "photos" / f"{name}.png")
        Image.fromarray(mask(place)).save(tmp_path / "masks" / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explained(*more: str) -> int:
    return run(
        ["explain", "photos", "-m", "net.py:build", "-o", "out", "-q", "-j", "1", "--target-mask", "masks", *more]
    )


def rows(out: Path) -> dict[str, Any]:
    return {row["image"]: row for row in map(json.loads, (out / "manifest.jsonl").read_text().splitlines())}


def test_a_folder_with_masks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "masks" / "c.png").unlink()
    Image.fromarray(mask()).save(folder / "masks" / "else.png")
    assert explained("--method", "hirescam") == 1
    found = rows(folder / "out")
    assert found["c.png"]["error"] == "no mask in 'masks' has its name"
    assert found["a.png"]["top"][0]["name"] == "red"
    assert found["b.png"]["top"][0]["name"] == "blue"
    assert found["a.png"]["maps"][0]["center_x"] < 0.4 < 0.6 < found["b.png"]["maps"][0]["center_x"]
    assert with_masks(find(["photos"]), "masks").notes == ("Masks of 'masks' that are not used: 1 not in the run.",)
    # Other masks are another run: their content decides, not their times.
    Image.fromarray(mask(BLUE)).save(folder / "masks" / "a.png")
    assert explained("--method", "hirescam") == 2
    assert "target_masks" in capsys.readouterr().err


def test_smoothing_turns_the_mask_with_the_view(folder: Path) -> None:
    assert explained("--method", "hirescam", "--smooth", "flip") == 0
    found = rows(folder / "out")
    assert found["a.png"]["maps"][0]["center_x"] < 0.4 < 0.6 < found["b.png"]["maps"][0]["center_x"]


def test_a_mask_without_use_is_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str], camx: Callable[..., int]
) -> None:
    cases = {
        ("--mask-levels", "classes", "--target-mask", "nowhere"): "is no folder",
        ("--decode", "device"): "does not work with",
    }
    for words, sentence in cases.items():
        assert explained(*words) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
    assert run(["explain", "photos", "-m", "demo", "-o", "o2", "-q", "--target-mask", "masks"]) == 2
    assert "works only with a segmentation network" in " ".join(capsys.readouterr().err.split())
    assert run(["explain", "photos", "-m", "net.py:build", "-o", "o2", "-q", "--mask-levels", "classes"]) == 2
    assert "needs masks" in " ".join(capsys.readouterr().err.split())
