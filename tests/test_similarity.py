"""Encoders: maps of the similarity of two images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.engine.targets import Target
from cam_cli.errors import CamxError
from cli.main import run

from .methods_support import (
    few_masks,  # noqa: F401 - fixtures are found by their names
)
from .task_networks import SIDE, Encoder, centre, network_of, rows_of, scene


def test_the_map_of_a_similarity_shows_the_common_colour(tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    Image.new("RGB", (SIDE, SIDE), (230, 20, 20)).save(reference)
    network = network_of(Encoder(), "similarity", ())
    explainer = Explainer(network, ExplainOptions(methods=("hirescam",), targets=(f"like:{reference}",)))
    (found,) = explainer(scene())
    module = Encoder()
    with torch.no_grad():
        a, b = (
            module(torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None] / 255)
            for image in (scene(), Image.open(reference))
        )
    prediction = found.maps[0].prediction
    assert prediction.value == pytest.approx(float((normalize(a) * normalize(b)).sum()), abs=1e-5)
    assert prediction.name == f"like:{reference}"
    assert found.ranking == ()
    # Both have red, in the upper left.
    assert centre(found.maps[0].values) == pytest.approx((16 / SIDE, 14 / SIDE), abs=0.1)
    (same,) = explainer([str(reference)])
    assert same.maps[0].prediction.value == pytest.approx(1, abs=1e-5)


def test_an_encoder_without_a_reference_and_a_classifier_with_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CamxError, match="like:REF"):
        Explainer(network_of(Encoder(), "similarity", ()))
    scene().save(tmp_path / "a.png")
    with pytest.raises(CamxError, match="needs an encoder"):
        Explainer(network_of(Encoder(), names=()), ExplainOptions(targets=(f"like:{tmp_path}/a.png",)))
    with pytest.raises(CamxError, match="no image|There is"):
        Explainer(network_of(Encoder(), "similarity", ()), ExplainOptions(targets=("like:nowhere.png",)))
    with pytest.raises(CamxError, match="names no image"):
        Target.parse("like:")


@pytest.mark.parametrize(
    ("method", "shown"), [("gradcam", False), ("saliency", False), ("occlusion", True), ("integrated-gradients", True)]
)
def test_the_reference_itself_gets_no_map_of_rounding_errors(method: str, shown: bool, tmp_path: Path) -> None:
    """The cosine of equal embeddings is largest, so that its gradient is zero but for rounding."""
    scene().save(tmp_path / "a.png")
    options = ExplainOptions(methods=(method,), targets=(f"like:{tmp_path}/a.png",))
    (found,) = Explainer(network_of(Encoder(), "similarity", ()), options)([str(tmp_path / "a.png")])
    (one,) = found.maps
    assert one.prediction.value == pytest.approx(1, abs=1e-6)
    assert bool(one.values.any()) == shown
    assert found.blank == "it is the reference itself: a cosine of 1 has no gradient"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (
            "pairs.csv",
            "The table 'pairs.csv' cannot be read: No such file or directory. Give a CSV with image,reference",
        ),
        ("empty", "like:empty`: No images in 'empty'. Give image files, folders, patterns"),
        ("gone.png", "like:gone.png`: There is no file or folder 'gone.png'. Check the path"),
        ("broken.png", "like:broken.png`: 'broken.png' cannot be read: not an image of a known format"),
    ],
)
def test_a_reference_that_cannot_be_read_says_why_once(
    place: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("broken.png").write_bytes(b"nothing")
    with pytest.raises(CamxError) as refused:
        Explainer(network_of(Encoder(), "similarity", ()), ExplainOptions(targets=(f"like:{place}",)))
    assert words in str(refused.value)
    assert ".." not in str(refused.value)
    assert str(refused.value).endswith("Give another image.") == (place == "broken.png")


@pytest.fixture
def paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three scenes, one reference of each colour, and a table of pairs without the third scene."""
    (tmp_path / "net.py").write_text(
        "from tests.task_networks import Encoder, network_of\n\ndef build():\n    return network_of(Encoder(), 'similarity', ())\n"
    )
    (tmp_path / "photos").mkdir()
    (tmp_path / "refs").mkdir()
    for name in "abc":
        scene().save(tmp_path / "photos" / f"{name}.png")
    for name, colour in (("red", (230, 20, 20)), ("blue", (20, 20, 230))):
        Image.new("RGB", (SIDE, SIDE), colour).save(tmp_path / "refs" / f"{name}.png")
    (tmp_path / "pairs.csv").write_text("image,reference\na.png,refs/red.png\nb.png,refs/blue.png\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compared(*more: str, out: str = "out") -> int:
    task = ("-m", "net.py:build", "--task", "similarity", "--method", "hirescam")
    return run(["explain", "photos", *task, "-o", out, "-q", "-j", "1", *(more or ("--target", "like:pairs.csv"))])


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("method", ["occlusion", "lime", "gradient-shap", "guided-ig", "xrai"])
def test_other_methods_find_what_is_similar(method: str, tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    Image.new("RGB", (SIDE, SIDE), (230, 20, 20)).save(reference)
    options = ExplainOptions(methods=(method,), targets=(f"like:{reference}",))
    (found,) = Explainer(network_of(Encoder(), "similarity", ()), options)(scene())
    assert all(place < 0.4 for place in centre(found.maps[0].values))


def test_a_cosine_is_no_sum_of_gradients_and_biases(tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    Image.new("RGB", (SIDE, SIDE), (230, 20, 20)).save(reference)
    options = ExplainOptions(methods=("fullgrad",), targets=(f"like:{reference}",))
    with pytest.raises(CamxError, match=r"fullgrad` splits a score .* Encoder add up to"):
        Explainer(network_of(Encoder(), "similarity", ()), options)


def test_each_image_has_its_own_reference(paired: Path) -> None:
    assert compared() == 1
    found = rows_of(paired / "out")
    assert found["c.png"]["error"] == "no row in 'pairs.csv' gives it a reference"
    for name, colour, x in (("a.png", "red", 16), ("b.png", "blue", 45)):
        assert compared("--target", f"like:refs/{colour}.png", out=colour) == 0
        (own,), (single,) = found[name]["maps"], rows_of(paired / colour)[name]["maps"]
        assert (own["target_name"], single["target_name"]) == (f"like:refs/{colour}.png",) * 2
        assert own["target_value"] == pytest.approx(single["target_value"], abs=1e-5)
        assert own["center_x"] == pytest.approx(single["center_x"], abs=1e-3)
        assert own["center_x"] == pytest.approx(x / SIDE, abs=0.1)


def test_a_reference_that_cannot_be_read_is_the_error_of_its_image(paired: Path) -> None:
    (paired / "refs" / "red.png").write_bytes(b"no image")
    with (paired / "pairs.csv").open("a") as file:
        file.write("c.png,refs/gone.png\n")
    assert compared() == 1
    found = rows_of(paired / "out")
    assert [found[name]["status"] for name in ("a.png", "b.png", "c.png")] == ["failed", "ok", "failed"]
    assert "its reference 'refs/red.png' cannot be read" in found["a.png"]["error"]
    assert "refs/gone.png" in found["c.png"]["error"]
    (paired / "refs" / "blue.png").unlink()
    assert compared(out="none") == 2


def test_the_fingerprint_of_pairs_is_that_of_their_contents(paired: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared() == 1
    (paired / "pairs.csv").touch()
    assert compared() == 1
    Image.new("RGB", (SIDE, SIDE), (20, 230, 20)).save(paired / "refs" / "red.png")
    assert compared() == 2
    assert "references" in capsys.readouterr().err
    (paired / "pairs.csv").write_text("image,other\na.png,refs/red.png\n")
    assert compared(out="other") == 2
    assert "no column 'reference'" in " ".join(capsys.readouterr().err.split())
