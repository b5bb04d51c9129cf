"""Whether two runs look at the same place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cam_cli.compare.compare import compare
from cam_cli.compare.maps import CHANCE, likeness
from cam_cli.compare.options import CompareOptions
from cam_cli.errors import CamxError

from .compare_support import CAT, DOG, runs
from .run_folders import NAMES, image_row, run_folder, sketch, spot


def test_places_of_maps_by_pencil() -> None:
    a, b = np.zeros((2, 5)), np.zeros((2, 5))
    a[0, :2], b[0, 1:3] = (200, 100), (100, 200)  # a fifth of ten cells are two
    found = likeness([sketch(a)], [sketch(b)])
    assert found.cosine[0] == pytest.approx(100 * 100 / (200**2 + 100**2))
    assert found.iou[0] == pytest.approx(1 / 3)
    assert found.shift[0] == pytest.approx(2 / 5)
    assert np.isnan(found.shuffled)


def test_a_fifth_that_holds_no_heat_is_not_hot() -> None:
    a, b = np.zeros((10, 10)), np.zeros((10, 10))
    a[0, 0], b[9, 9] = 255, 255
    found = likeness([sketch(a), sketch(a)], [sketch(b), sketch(a)])
    assert found.iou.tolist() == [0.0, 1.0]
    assert found.shift[0] == pytest.approx(0.9 * 2**0.5)


def test_a_peak_of_several_cells_lies_in_their_middle() -> None:
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[0, [0, 3]] = 255
    b[0, [1, 2]] = 255
    assert likeness([sketch(a)], [sketch(b)]).shift[0] == pytest.approx(0.0)


def test_maps_that_are_missing_blank_or_of_another_shape_are_left_out() -> None:
    some, other = sketch(spot(2, 2)), sketch(spot(2, 2, side=8))
    found = likeness([some, None, sketch(np.zeros((10, 10))), some], [None, some, some, other])
    for column in (found.cosine, found.iou, found.shift):
        assert np.isnan(column).all()


def test_signs_of_a_map_are_strength() -> None:
    signed = np.full((4, 5), 128)
    signed[0, 0], signed[3, 4] = 255, 1
    plain = np.zeros((4, 5))
    plain[0, 0], plain[3, 4] = 127, 127
    found = likeness([{**sketch(signed), "signed": True}], [sketch(plain)])
    assert found.cosine[0] == pytest.approx(1.0)


def test_random_maps_have_the_likeness_of_chance() -> None:
    rng = np.random.default_rng(0)
    first, second = ([sketch(rng.permutation(576).reshape(24, 24) * 255 / 575) for _ in range(200)] for _ in range(2))
    found = likeness(first, second)
    assert found.iou.mean() == pytest.approx(CHANCE, abs=0.01)
    assert found.shuffled == pytest.approx(CHANCE, abs=0.01)
    assert pytest.approx(1 / 9) == CHANCE


def test_a_habit_of_looking_at_the_middle_shows_in_the_shuffled_maps() -> None:
    same = [sketch(spot(12, 12, side=24)) for _ in range(20)]
    assert likeness(same, same).shuffled == 1.0


def test_the_map_that_is_asked_for(tmp_path: Path) -> None:
    """Each row has a map of a cat, a dog and, of another method, a cat again."""

    def row(best: int, cat: np.ndarray, dog: np.ndarray, other: np.ndarray) -> dict[str, Any]:
        made = [
            image_row("x", CAT, target, cells=cells)["maps"][0]
            for target, cells in ((CAT, other), (CAT, cat), (DOG, dog))
        ]
        made[0]["method"] = "eigencam"
        return image_row("i.jpg", CAT, best, maps=made)

    left, right, up = spot(1, 5), spot(8, 5), spot(5, 1)
    pair = runs(tmp_path, [(row(CAT, left, right, up), row(DOG, right, right, up))])
    shift = {
        on: compare(*pair, CompareOptions(on=on)).likeness.shift[0]
        for on in ("prediction", "label", "target:Cat", "target:1")
    }
    assert shift == pytest.approx({"prediction": 0.7, "label": 0.7, "target:Cat": 0.7, "target:1": 0.0})
    assert np.isnan(compare(*pair, CompareOptions(on="target:fish")).likeness.shift[0])
    for on in ("everything", "target:", "target: "):
        with pytest.raises(CamxError, match="`on`"):
            compare(*pair, CompareOptions(on=on))


def test_other_layers_methods_and_frames_are_notes(tmp_path: Path) -> None:
    a = run_folder(
        tmp_path / "a", [image_row("0.jpg")], classes=list(NAMES), fingerprint={"preprocessing": {"size": [224, 224]}}
    )
    other = image_row("0.jpg")
    other["maps"][0]["layer"] = "blocks.11"
    b = run_folder(tmp_path / "b", [other], classes=list(NAMES), fingerprint={"preprocessing": {"size": [384, 384]}})
    notes = " ".join(compare(str(a), str(b)).notes)
    assert "gradcam at layer4 in A and gradcam at blocks.11 in B" in notes
    assert "have different preprocessing" in notes
