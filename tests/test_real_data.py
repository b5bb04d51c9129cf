"""Real ImageNet weights on real photos, where `CAMX_TEST_DATA` names the folder that holds them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

MOBILENET = (
    *("--model", "mobilenetv2_100", "--model-arg", "pad_type=same"),
    *("--mean", "0.5", "--std", "0.5", "--interpolation", "bilinear", "--crop-pct", "0.875"),
)
SQUEEZENET = ("--model", "torchvision/squeezenet1_0")


@pytest.mark.parametrize(
    ("argv", "weights", "accuracy"),
    [(MOBILENET, "mobilenetv2_100.safetensors", 0.85), (SQUEEZENET, "squeezenet1_0.pth", 0.47)],
)
def test_accuracy_on_photos(
    camx: Callable[..., int],
    data: Path,
    capsys: pytest.CaptureFixture[str],
    argv: tuple[str, ...],
    weights: str,
    accuracy: float,
) -> None:
    photos = data / "photos"
    checkpoint = data / "weights" / weights
    assert camx("explain", photos, *argv, "--checkpoint", checkpoint, "--labels", photos / "labels.csv", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["ok"], summary["labelled"]) == (40, 40)
    assert summary["accuracy"] >= accuracy


def test_top_five_are_those_of_torchvision_on_photos(camx: Callable[..., int], data: Path) -> None:
    from torchvision.models import SqueezeNet1_0_Weights, squeezenet1_0

    checkpoint = data / "weights" / "squeezenet1_0.pth"
    module = squeezenet1_0().eval()
    module.load_state_dict(torch.load(checkpoint, weights_only=True))
    transform = SqueezeNet1_0_Weights.DEFAULT.transforms()
    assert camx("explain", data / "photos", *SQUEEZENET, "--checkpoint", checkpoint, "--limit", 12) == 0
    with open("camx-out/predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for row in rows:
        with torch.no_grad(), Image.open(data / "photos" / row["image"]) as image:
            expected = module(transform(image.convert("RGB"))[None]).softmax(1)[0].topk(5)
        assert [int(row[f"top{k}_index"]) for k in range(1, 6)] == expected.indices.tolist()
        assert np.allclose([float(row[f"top{k}_prob"]) for k in range(1, 6)], expected.values.tolist(), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_every_broken_file_has_its_own_row(camx: Callable[..., int], data: Path) -> None:
    """318 odd and broken files with any name: a row each, and none affects its neighbours."""
    files = data / "badfiles"
    argv = ("--model", "test_resnet", "--no-pretrained", "--include", "*", "--exclude", "verdicts.jsonl")
    assert camx("explain", files, *argv, "-q") == 1
    with open("camx-out/predictions.csv", newline="", encoding="utf-8") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    verdicts = [json.loads(line) for line in (files / "verdicts.jsonl").read_text().splitlines()]
    assert set(rows) == {verdict["file"] for verdict in verdicts}
    for verdict in verdicts:
        row = rows[verdict["file"]]
        foreign = "not an image" in row["error"]
        if "La to L not supported" in verdict.get("error", ""):
            continue  # Pillow reads it and has no conversion for it; camx has one.
        assert (row["status"] == "failed") == (verdict["pillow"] == "error" or foreign), verdict
        assert bool(row["error"]) == (row["status"] != "ok")
        if row["status"] == "ok":
            assert [int(row["width"]), int(row["height"])] == verdict["upright_size"]


@pytest.mark.parametrize("precision", ["bf16", pytest.param("fp16", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "weights", "args"),
    [
        ("torchvision/squeezenet1_0", "squeezenet1_0.pth", {}),
        ("mobilenetv2_100", "mobilenetv2_100.safetensors", {"pad_type": "same"}),
    ],
)
def test_rough_arithmetic_of_the_network_hardly_moves_a_map(
    data: Path, name: str, weights: str, args: dict[str, str], precision: str
) -> None:
    """Correlation above 0.99 with fp32, for the class of fp32, on real photos; without finercam, for which rounded
    scores can select other similar classes."""
    from cam_cli import Explainer, ExplainOptions, ModelSpec, load_model
    from cam_cli.images.listing import Source
    from cam_cli.images.picture import prepare
    from cam_cli.images.pixels import upright_rgb

    methods = (
        "gradcam",
        "cam",
        "gradcam++",
        "xgradcam",
        "hirescam",
        "layercam",
        "elementwise",
        "eigencam",
        "shapleycam",
    )
    network = load_model(ModelSpec(name, checkpoint=str(data / "weights" / weights), args=args))
    photos = []
    for path in sorted((data / "photos").glob("*.png"))[:3]:
        with Image.open(path) as image:
            photos.append(prepare(upright_rgb(image), Source("", ""), network.preprocessing))
    exact, rough = (Explainer(network, ExplainOptions(methods, precision=p, device="cpu")) for p in ("fp32", precision))
    inputs = exact._runner.inputs(photos)
    traced, wanted = exact.explain_tensor(inputs)
    _, found = rough.explain_tensor(inputs, traced.logits.argmax(1, keepdim=True))
    for method in methods:
        assert found[method].dtype == torch.float32
        for one, two in zip(wanted[method].flatten(1), found[method].flatten(1)):
            assert np.corrcoef(one.clamp_min(0), two.clamp_min(0))[0, 1] > 0.99, method


@pytest.mark.slow
def test_methods_on_a_trained_transformer(camx: Callable[..., int], data: Path) -> None:
    """Its head averages the patches, although it has a class token, and some of its channels are very large."""
    weights = data / "weights"
    model = "vit_small_patch14_dinov2 --model-arg img_size=224 --model-arg global_pool=avg --model-arg num_classes=2"
    argv = (
        "--model",
        *model.split(),
        "--image-size",
        224,
        "--crop-pct",
        0.875,
        "--class-names",
        weights / "catdog.txt",
    )
    methods = ("gradcam", "eigencam", "attention-rollout", "attention-gradient", "legrad")
    for kind in ("cat", "dog"):
        asked = [word for name in methods for word in ("--method", name)]
        checkpoint = ("--checkpoint", weights / "vit_small_patch14_dinov2_catdog.safetensors")
        photos = data / "catsdogs" / "val" / kind
        assert camx("explain", photos, *argv, *checkpoint, *asked, "--limit", 4, "-o", kind, "--save", "array") == 0
        rows = [json.loads(line) for line in (Path(kind) / "manifest.jsonl").read_text().splitlines()]
        images = [row for row in rows if "maps" in row]
        assert [row["top"][0]["name"] for row in images].count(kind) >= 3
        for row in images:
            assert [one["method"] for one in row["maps"]] == list(methods)
            for one in row["maps"]:
                heat = np.load(Path(kind) / one["array"]).clip(0)
                assert heat.shape == (16, 16)
                assert heat.max() > 0, (row["image"], one["method"])
                # Eigen-CAM of a nearly constant first component is flat; a map of a class must not be flat.
                assert one["method"] == "eigencam" or heat.max() > 1.5 * heat.mean()
    record = json.loads((Path("cat") / "run.json").read_text())
    assert "not proven" not in record["plan"]["layer_reason"]
