"""Regressions: maps of the value that a network returns."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.errors import CamxError
from cam_cli.models.network import Network
from cli.main import run

from .definitions import DEFINITIONS, Slow
from .methods_support import (
    assert_close,
    few_masks,  # noqa: F401 - fixtures are found by their names
    layers_of,
    small,
)
from .task_networks import RED, SIDE, Redness, centre, network_of, red_square, scene
from .test_engine import batch


def test_evidence_for_a_value_raises_it_and_evidence_against_lowers_it() -> None:
    picture = torch.from_numpy(np.array(scene())).permute(2, 0, 1)[None] / 255
    for evidence, place in (("for", (16, 14)), ("against", (45, 47))):
        options = ExplainOptions(methods=("hirescam",), evidence=evidence)
        explainer = Explainer(network_of(Redness(), "regression", ("redness",)), options)
        (found,) = explainer(picture)
        prediction = found.maps[0].prediction
        assert (prediction.name, found.correct, found.ranking) == ("redness", None, ())
        assert prediction.value == pytest.approx(float(Redness()(picture).detach()), rel=1e-5)
        assert centre(found.maps[0].values) == pytest.approx((place[0] / SIDE, place[1] / SIDE), abs=0.1)


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("method", ["occlusion", "kernel-shap", "lime", "gradient-shap", "guided-ig", "xrai"])
def test_other_methods_find_what_raises_a_value_and_what_lowers_it(method: str) -> None:
    for evidence, low, high in (("for", 0.0, 0.4), ("against", 0.5, 1.0)):
        options = ExplainOptions(methods=(method,), evidence=evidence)
        (found,) = Explainer(network_of(Redness(), "regression", ("redness",)), options)(scene())
        assert all(low < place < high for place in centre(found.maps[0].values)), evidence


def test_cam_of_a_value_sums_to_it() -> None:
    (found,) = Explainer(network_of(Redness(), "regression", ()), ExplainOptions(methods=("cam",)))(scene())
    assert found.maps[0].values.mean() == pytest.approx(found.maps[0].prediction.value, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"targets": "top:3"}, "2 values"),
        ({"targets": "predicted"}, "without an order"),
        ({"targets": "label"}, "without an order"),
        ({"targets": "1", "methods": "finercam"}, "finercam.*values"),
        ({"targets": "1", "multi_label": True}, "multi_label"),
        ({"targets": "7"}, "no class 7|There is"),
    ],
)
def test_options_for_classes_are_errors_with_values(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(CamxError, match=sentence):
        Explainer(network_of(Redness(2), "regression", ()), ExplainOptions(**options))  # type: ignore[arg-type]


def test_ordinal_steps_are_summed() -> None:
    (found,) = Explainer(network_of(Redness(2), "ordinal", ()))(scene())
    picture = torch.from_numpy(np.array(scene())).permute(2, 0, 1)[None] / 255
    expected = float(Redness(2)(picture).sigmoid().sum().detach())
    assert found.maps[0].prediction.value == pytest.approx(expected, rel=1e-5)


def test_a_folder_of_a_regression(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from tests.task_networks import Redness, network_of\n\ndef build():\n    return network_of(Redness(), names=('redness',))\n"
    )
    (tmp_path / "photos").mkdir()
    scene().save(tmp_path / "photos" / "a.png")
    red_square(RED).save(tmp_path / "photos" / "b.png")
    out = tmp_path / "out"
    args = ["explain", str(tmp_path / "photos"), "-m", f"{tmp_path}/net.py:build", "-o", str(out), "-q", "-j", "1"]
    assert run([*args, "--task", "regression"]) == 0
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert [row["target_name"] for row in rows] == ["redness", "redness"]
    assert all(row["top1_name"] == row["top1_prob"] == row["target_prob"] == row["correct"] == "" for row in rows)
    journal = {row["image"]: row for row in map(json.loads, (out / "manifest.jsonl").read_text().splitlines())}
    for cells in rows:
        of_map = journal[cells["image"]]["maps"][0]
        assert float(cells["target_value"]) == pytest.approx(of_map["target_value"], rel=1e-4)
    assert float(rows[1]["target_value"]) > float(rows[0]["target_value"])
    assert "top" not in journal["a.png"]
    with (out / "maps.csv").open() as file:
        assert all(row["target_value"] for row in csv.DictReader(file))
    assert run(["report", str(out)]) == 0
    assert run(["push", str(out), "--tensorboard"]) == 0
    assert run(["explain", *args[1:]]) == 2  # another task: another fingerprint


@pytest.mark.parametrize("name", ["kpcacam", "segeigencam", "sscam", "iscam", "refinecam"])
def test_methods_of_a_value_are_their_slow_definitions(name: str) -> None:
    module, pictures = small(), batch(2, side=24)
    own = Network.of(module, image_size=24, mean=(0.5,) * 3, std=(0.5,) * 3, task="regression")
    engine = Explainer(own, ExplainOptions(methods=(name,), targets=("2",), layers=layers_of(name), device="cpu"))
    _, maps = engine.explain_tensor(pictures, torch.tensor([[2], [2]]))
    for image, found in enumerate(maps[name][:, 0].numpy()):
        layer = dataclasses.replace(engine.layer, name="first")
        assert_close(found, DEFINITIONS[name](Slow(module, pictures[image], layer, 2)))
