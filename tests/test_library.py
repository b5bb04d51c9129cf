"""camx inside another program: examples of the documentation, tensors, images, and the user's own networks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import cam_cli
from cam_cli import CamxError, Explainer, ExplainOptions, Network, overlay

from .conftest import picture
from .networks import DeepHeadNet, RedDetector, network, seeded

ROOT = Path(__file__).parents[1]
HALF = (0.5, 0.5, 0.5)


def explainer(module: nn.Module | None = None, **options: object) -> Explainer:
    module = module or seeded(RedDetector)
    own = Network.of(module, image_size=64, mean=HALF, std=HALF, class_names=())
    return Explainer(own, ExplainOptions(device="cpu", **options))  # type: ignore[arg-type]


def test_the_examples_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sample_images").symlink_to(ROOT / "sample_images")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), re.DOTALL)
    assert len(blocks) == 6
    space: dict[str, object] = {}
    for block in blocks:
        exec(block, space)
    with Image.open("cat-explained.png") as drawn:
        assert drawn.size == (512, 384)
    assert len(space["maps"]) == 4  # type: ignore[arg-type]


def test_every_public_name_is_there_and_importing_is_light() -> None:
    assert all(getattr(cam_cli, name) for name in cam_cli.__all__)
    code = "import sys, cam_cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'explain'. Did you mean Explainer"):
        cam_cli.explain  # noqa: B018 - the access is the test


def test_a_batch_is_explained_as_the_images_it_was_made_of() -> None:
    images = [picture(64, 64, seed=i) for i in range(3)]
    batch = torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) / 255.0 for i in images])
    for one, other in zip(explainer()(images), explainer()((batch - 0.5) / 0.5)):
        assert [p.index for p in one.ranking] == [p.index for p in other.ranking]
        np.testing.assert_allclose(one.maps[0].values, other.maps[0].values, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(one.picture.canvas, other.picture.canvas)


def test_a_batch_is_not_changed_and_may_come_from_anywhere() -> None:
    batch = torch.randn(2, 3, 64, 64, requires_grad=True)
    before = batch.detach().clone()
    with torch.no_grad():
        found = explainer(seeded(DeepHeadNet))(batch)
    assert torch.equal(batch, before)
    assert batch.grad is None
    assert all(e.maps[0].values.any() for e in found)


def test_values_beyond_what_pixels_can_be_are_explained_as_given() -> None:
    """An adversarial batch is no longer an image: the network receives it unchanged; only the drawing is clipped."""
    strong = explainer()(torch.full((1, 3, 64, 64), -40.0))[0]
    assert strong.maps[0].values.max() != explainer()(torch.full((1, 3, 64, 64), -1.0))[0].maps[0].values.max()
    assert int(strong.picture.canvas.max()) == 0


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.zeros(3, 64, 64), r"shape \(3, 64, 64\) .* prepared for B×3×64×64"),
        (torch.zeros(1, 3, 32, 64), r"shape \(1, 3, 32, 64\)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), "torch.uint8 .* normalised"),
        ([np.zeros((64, 64, 3))], "An array 64×64×3 of type float64 cannot be explained. Give uint8"),
        (np.zeros((64, 64, 5), np.uint8), "An array 64×64×5 of type uint8"),
        ("cat.jpg", "'cat.jpg' cannot be explained: No such file or directory"),
        (Path("/"), "'/' cannot be explained"),
        (Image.new("RGB", (0, 0)), "An image of 0×0 pixels"),
        (None, "A NoneType cannot be explained. Give paths"),
        ({"a": 1}, "A dict cannot be explained"),
        ([torch.zeros(3, 64, 64)], "torch.stack"),
    ],
)
def test_unexplainable_images_have_errors(inputs: object, message: str) -> None:
    with pytest.raises(CamxError, match=message):
        explainer()(inputs)  # type: ignore[arg-type]


def test_one_image_alone() -> None:
    (explanation,) = explainer()(picture())
    assert overlay(explanation).size == (64, 48)


def test_a_network_of_ones_own_shows_where_its_evidence_is() -> None:
    """A red square in the right upper corner: the map of the red class has its peak there."""
    image = Image.new("RGB", (64, 64), "black")
    image.paste((255, 0, 0), (40, 0, 64, 24))
    own = Network.of(seeded(RedDetector), image_size=64, mean=HALF, std=HALF, class_names=("red", "blue"))
    (explanation,) = Explainer(own, ExplainOptions(device="cpu"))(image)
    assert explanation.ranking[0].name == "red"
    row, column = np.unravel_index(explanation.maps[0].values.argmax(), (8, 8))
    assert (row < 3, column >= 5) == (True, True)


def test_a_grey_network_and_other_sizes() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3, 4), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    own = Network.of(module, image_size=(32, 48), mean=[0.5], std=[0.5])
    (explanation,) = Explainer(own, ExplainOptions(device="cpu"))(picture())
    assert explanation.maps[0].values.shape == (8, 12)
    (explanation,) = Explainer(own, ExplainOptions(device="cpu"))(torch.zeros(1, 1, 32, 48))
    assert explanation.picture.canvas.shape == (32, 48, 3)


def test_a_network_of_four_channels() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 3, 4), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    own = Network.of(module, image_size=(32, 48), mean=[0.5] * 4, std=[0.5] * 4)
    explainer = Explainer(own, ExplainOptions(device="cpu"))
    assert explainer(torch.zeros(1, 4, 32, 48))[0].picture.canvas.shape == (32, 48, 3)
    assert explainer(picture().convert("RGBA"))[0].maps[0].values.shape == (8, 12)
    with pytest.raises(CamxError, match="it has 3 bands, but the network takes 4"):
        explainer(picture())


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [((0.5,), HALF, "mean has 1 values and std 3"), (HALF, (0.0, 1.0, 1.0), "above 0"), ((), (), "mean has 0 values")],
)
def test_preprocessing_that_cannot_be(mean: tuple[float, ...], std: tuple[float, ...], message: str) -> None:
    with pytest.raises(CamxError, match=message):
        Network.of(seeded(RedDetector), image_size=64, mean=mean, std=std)


def test_class_names_must_be_as_many_as_the_scores() -> None:
    own = Network.of(seeded(RedDetector), image_size=64, mean=HALF, std=HALF, class_names=("red",))
    with pytest.raises(CamxError, match="names 1 class, but the model has 2"):
        Explainer(own, ExplainOptions(device="cpu"))


def test_an_empty_page_has_a_note() -> None:
    (blank,) = Explainer(network(seeded(RedDetector)), ExplainOptions(device="cpu"))(
        Image.new("RGB", (64, 64), "white")
    )
    with pytest.raises(CamxError, match="Nothing to show: the map is zero"):
        overlay(blank)
