"""The library accepts the usual types of a program, and its own errors name the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import cam_cli
import camx as alias
from cam_cli import (
    CamxError,
    Explainer,
    ExplainOptions,
    ModelSpec,
    Network,
    Rendering,
    Target,
    heatmap,
    load_model,
    overlay,
)

from .conftest import picture
from .networks import DeepHeadNet, RedDetector, seeded
from .test_library import HALF, ROOT, explainer


def named(**options: Any) -> Explainer:
    own = Network.of(seeded(RedDetector), image_size=64, mean=HALF, std=HALF, class_names=("red", "blue"))
    return Explainer(own, ExplainOptions(device="cpu", **options))


def values(explanations: list[Any]) -> list[np.ndarray]:
    return [shown.values for one in explanations for shown in one.maps]


def test_paths_and_arrays_are_images(tmp_path: Path) -> None:
    image = picture(90, 60)
    image.save(tmp_path / "a.png")
    engine = named()
    expected = values(engine(image))[0]
    for same in (tmp_path / "a.png", str(tmp_path / "a.png"), np.array(image)):
        np.testing.assert_array_equal(values(engine(same))[0], expected)
        np.testing.assert_array_equal(values(engine([same]))[0], expected)
    mixed = engine(one for one in (image, tmp_path / "a.png", np.array(image.convert("L"))))
    assert len(mixed) == 3
    assert mixed[0].picture.canvas.shape == mixed[1].picture.canvas.shape


def test_one_name_stands_for_a_tuple_of_one() -> None:
    assert ExplainOptions(methods="gradcam", layers="maps", targets="cat") == ExplainOptions(
        methods=("gradcam",), layers=("maps",), targets=(Target("class", name="cat"),)
    )
    assert ExplainOptions(targets=["label", 3, "top:2"]).targets == (
        Target("label"),
        Target("class", name="3"),
        Target("top", top=2),
    )
    assert Rendering(save="heatmap").save == ("heatmap",)
    assert ExplainOptions(top_k=np.int64(3)).top_k == 3
    assert ModelSpec("demo", checkpoint=Path("a.pth")).checkpoint == "a.pth"  # type: ignore[arg-type]
    assert ExplainOptions(device=torch.device("cpu")).device == "cpu"  # type: ignore[arg-type]


def test_labels_and_targets_of_each_image() -> None:
    images = [picture(64, 64, seed=i) for i in range(3)]
    engine = named()
    labelled = engine(images, labels=["blue", None, 0])
    assert [one.label for one in labelled] == [1, None, 0]
    assert [one.correct for one in labelled][1] is None
    each = engine(images, targets=["blue", ("red", "blue"), Target("top", top=2)])
    assert [[shown.prediction.name for shown in one.maps] for one in each][:2] == [["blue"], ["red", "blue"]]
    assert len(each[2].maps) == 2
    both = named(targets=("red", "blue"))(images)
    np.testing.assert_array_equal(each[0].maps[0].values, both[0].maps[1].values)
    np.testing.assert_array_equal(each[1].maps[1].values, both[1].maps[1].values)
    by_label = engine(images, labels=["blue", None, "red"], targets=["label"] * 3)
    assert [one.maps[0].prediction.name if one.maps else one.problem for one in by_label] == [
        "blue",
        "it has no label to explain",
        "red",
    ]
    batch = torch.zeros(2, 3, 64, 64)
    assert [one.label for one in engine(batch, labels=["red", "blue"])] == [0, 1]


def test_the_heat_at_the_size_of_the_image() -> None:
    image = Image.new("RGB", (120, 60), "black")
    image.paste((255, 0, 0), (70, 10, 90, 30))
    (explanation,) = named(targets="red")(image)
    heat = heatmap(explanation)
    assert (heat.shape, heat.dtype) == ((60, 120), np.float32)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert (5 < row < 35, 65 < column < 95) == (True, True)
    assert (heat.min(), heat.max() <= 1, heat.max() > 0.9) == (0, True, True)
    assert not heat[:, :29].any(), "what the crop left out"
    (signed,) = explainer(seeded(DeepHeadNet), evidence="both")(picture(80, 60))
    assert heatmap(signed).shape == (60, 80)
    assert heatmap(signed).min() < 0


class Two(nn.Module):
    """Its forward needs a second input."""

    def forward(self, images: torch.Tensor, meta: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) + meta


def of(**changes: Any) -> Network:
    return Network.of(**{"module": seeded(RedDetector), "image_size": 64, "mean": HALF, "std": HALF, **changes})


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "a module in place of a network": (lambda: Explainer(nn.Flatten()), "A Flatten is no Network. Wrap it: Network.of"),  # type: ignore[arg-type]
    "a name in place of a network": (lambda: Explainer("resnet18"), "Give load_model"),  # type: ignore[arg-type]
    "options as a dict": (lambda: Explainer(of(), {}), "A dict is no ExplainOptions. Give ExplainOptions"),  # type: ignore[arg-type]
    "a module without weights": (lambda: Explainer(of(module=nn.Linear(2, 2, device="meta"))), "on the device meta"),
    "a second input": (lambda: Explainer(of(module=Two()), ExplainOptions(device="cpu")), "needs 'meta' in addition to the images"),
    "no method": (lambda: ExplainOptions(methods=()), "`methods` is empty"),
    "no layer": (lambda: ExplainOptions(layers=()), "`layers` is empty"),
    "an unknown method": (lambda: ExplainOptions(methods="grad-cam"), "Did you mean gradcam"),
    "a layer as a module": (lambda: ExplainOptions(layers=nn.Flatten()), "`layers` Flatten.* Give a tuple, each text"),  # type: ignore[arg-type]
    "no target": (lambda: ExplainOptions(targets=None), "`targets` None is a NoneType"),  # type: ignore[arg-type]
    "a target of no kind": (lambda: Target("clas"), "Did you mean class"),  # type: ignore[arg-type]
    "an unknown class": (lambda: named(targets="rod"), "no class 'rod'. Did you mean red"),
    "text for a number": (lambda: ExplainOptions(top_k="5"), "`top_k` '5' is a str. Give a whole number"),  # type: ignore[arg-type]
    "a switch for a number": (lambda: ExplainOptions(seed=True), "`seed` True is a bool"),
    "text for a share": (lambda: ExplainOptions(threshold="a"), "`threshold` 'a' is a str. Give a number"),  # type: ignore[arg-type]
    "arguments as text": (lambda: ModelSpec("demo", args="a=b"), "`args` 'a=b' is a str. Give a Mapping"),  # type: ignore[arg-type]
    "a size as text": (lambda: of(image_size="64"), "`image_size` '64' is no size"),
    "a size of 0": (lambda: of(image_size=0), "`image_size` 0 is no size"),
    "one mean": (lambda: of(mean=0.5), "`mean` 0.5 is no list"),
    "names as text": (lambda: of(class_names="red"), "`class_names` 'red' is no list"),
    "names as numbers": (lambda: of(class_names=[0, 1]), "`class_names`: 0 is no text"),
    "no module": (lambda: of(module="resnet18"), "A str is no torch.nn.Module. Use load_model"),
    "a module to load": (lambda: load_model(nn.Flatten()), "Network.of.module, …. takes a module"),  # type: ignore[arg-type]
    "nothing to load": (lambda: load_model(None), "A NoneType is no name"),  # type: ignore[arg-type]
    "a path that is not there": (lambda: load_model(Path("/none/w.pth")), "no checkpoint file '/none/w.pth'"),
    "another number of labels": (lambda: named()(picture(), labels=["red", "red"]), "`labels` has length 2, not 1"),
    "an unknown label": (lambda: named()(picture(), labels=["rod"]), "no class 'rod'"),
    "another number of targets": (lambda: named()([picture()] * 2, targets=["red"]), "`targets` has length 1, not 2"),
    "a map that is not there": (lambda: overlay(named()(picture())[0], 3), "There is no map 3: the explanation has 1 map"),
    "no explanation": (lambda: heatmap(picture()), "Image is given as the explanation"),  # type: ignore[arg-type]
    "colours as text": (lambda: overlay(named()(picture())[0], 0, "turbo"), "str is given as the rendering"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_end_in_the_words_of_the_library(kind: str) -> None:
    make, message = MISTAKES[kind]
    with pytest.raises(CamxError, match=message):
        make()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_other_precisions(kind: torch.dtype) -> None:
    image = picture(64, 64)
    exact = values(named()(image))[0]
    found = values(Explainer(of(module=seeded(RedDetector).to(kind)), ExplainOptions(device="cpu"))(image))[0]
    np.testing.assert_allclose(found / abs(found).max(), exact / abs(exact).max(), atol=0.05)


def test_the_names_of_the_package() -> None:
    assert set(cam_cli.__all__) | {"__version__"} <= set(dir(cam_cli))
    assert cam_cli.__version__
    for name in cam_cli.__all__:
        assert getattr(alias, name) is getattr(cam_cli, name), name
    assert alias.__version__ == cam_cli.__version__
    assert set(dir(alias)) == set(dir(cam_cli))
    assert explainer().layer.name


def test_both_packages_are_the_command() -> None:
    code = "import sys, camx; from camx import CamxError; assert 'torch' not in sys.modules; import runpy; "
    code += "sys.argv[1:] = ['--help']; runpy.run_module('camx', run_name='__main__')"
    for command in (["-m", "cam_cli", "--help"], ["-c", code]):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert "Usage: camx" in done.stdout
