"""CLIP and SigLIP as classifiers of named classes: the library's own scores, and maps on the named shapes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cam_cli import Explainer, ExplainOptions
from cam_cli.errors import CamxError
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec

transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

from tools.tiny_clip import COLOURS, PROMPT, scenes

CLIP = Path(__file__).parent / "fixtures" / "tiny_clip"
Camx = Callable[..., int]


def spec(names: Path, **more: object) -> ModelSpec:
    return ModelSpec(f"hf:{CLIP}", class_names=str(names), prompts=(PROMPT,), **more)  # type: ignore[arg-type]


def test_probabilities_are_those_of_the_pipeline(names: Path) -> None:
    explainer = Explainer(load_model(spec(names)), ExplainOptions(top_k=6, device="cpu"))
    images = [Image.fromarray(pixels).resize((150, 90)) for pixels, _ in scenes(3, 7)]
    classify = transformers.pipeline(
        "zero-shot-image-classification",
        model=transformers.CLIPModel.from_pretrained(CLIP, dtype=torch.float32),
        tokenizer=transformers.AutoTokenizer.from_pretrained(CLIP),
        image_processor=transformers.AutoImageProcessor.from_pretrained(CLIP, backend="pil"),
    )
    for image, found in zip(images, explainer(images)):
        own = classify(image, candidate_labels=list(COLOURS), hypothesis_template=PROMPT)
        assert {one.name: one.probability for one in found.ranking} == pytest.approx(
            {one["label"]: one["score"] for one in own}, abs=1e-4
        )


def test_maps_lie_on_the_shape_of_the_named_colour(names: Path) -> None:
    """120 scenes: the peak in the mask, next to it, in another mask; docs/hub.md has figures."""
    explainer = Explainer(load_model(spec(names)), ExplainOptions(methods=("hirescam",), device="cpu"))
    drawn = scenes(120, 3)
    found = explainer([Image.fromarray(pixels) for pixels, _ in drawn])
    inside, near, other = [], [], []
    for explanation, (_, masks) in zip(found, drawn):
        named = explanation.ranking[0].name
        if named not in masks:
            continue
        grid = torch.from_numpy(np.array(explanation.maps[0].values))[None, None].float()
        heat = torch.nn.functional.interpolate(grid, size=masks[named].shape, mode="bicubic")[0, 0]
        y, x = np.unravel_index(int(heat.argmax()), heat.shape)
        inside.append(masks[named][y, x])
        near.append(((np.argwhere(masks[named]) - (y, x)) ** 2).sum(1).min() <= 16)
        other.append(any(mask[y, x] for colour, mask in masks.items() if colour != named))
    assert len(inside) >= 0.85 * len(drawn)
    assert np.mean(inside) >= 0.9  # baseline, always the centre: 0.05
    assert np.mean(near) >= 0.95
    assert np.mean(other) <= 0.01


def test_the_gradient_is_that_of_the_score_over_the_mean_of_all(names: Path) -> None:
    network = load_model(spec(names)).module
    picture = torch.randn(1, 3, 64, 64, requires_grad=True)
    scores, plain = network(picture), network.plain(picture)  # type: ignore[operator]
    assert torch.allclose(scores, plain, atol=1e-4)
    (found,) = torch.autograd.grad(scores[0, 2], picture, retain_graph=True)
    (wanted,) = torch.autograd.grad(plain[0, 2] - plain[0].mean(), picture)
    assert torch.allclose(found, wanted, atol=1e-5)


def test_explain_takes_hirescam_unless_another_method_is_asked_for(names: Path, images: Path, camx: Camx) -> None:
    given = ("--model", f"hf:{CLIP}", "--class-names", names, "--prompts", PROMPT, "--device", "cpu", "--no-report")
    assert camx("explain", images, *given, "-o", "out") == 0
    rows = list(csv.DictReader(Path("out/predictions.csv").read_text().splitlines()))
    assert {row["method"] for row in rows} == {"hirescam"}
    assert {row["layer"] for row in rows} == {"vision_model.encoder.layers.1.layer_norm1"}
    assert {row["top1_name"] for row in rows} <= set(COLOURS)
    record = json.loads(Path("out/run.json").read_text())
    assert record["fingerprint"]["model_args"] == {"prompts": [PROMPT]}
    assert camx("explain", images, *given, "-o", "out") == 0
    assert camx("explain", images, *given, "--method", "gradcam", "-o", "other") == 0
    rows = list(csv.DictReader(Path("other/predictions.csv").read_text().splitlines()))
    assert {row["method"] for row in rows} == {"gradcam"}


def test_layers_need_no_names(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("layers", f"hf:{CLIP}") == 0
    assert "→ vision_model.encoder.layers.1.layer_norm1" in capsys.readouterr().out


def test_other_names_and_prompts_are_another_network(names: Path, tmp_path: Path) -> None:
    own = load_model(spec(names))
    more = load_model(ModelSpec(f"hf:{CLIP}", class_names=str(names), prompts=(PROMPT, "a {}")))
    assert len({own.digest, more.digest, load_model(ModelSpec(f"hf:{CLIP}", class_names=str(names))).digest}) == 3
    assert own.replica().module.class_texts.data_ptr() == own.module.class_texts.data_ptr()  # type: ignore[union-attr]


def test_siglip_has_a_probability_for_each_class(names: Path, tmp_path: Path) -> None:
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.SiglipConfig(
        vision_config={**tower, "image_size": 64, "patch_size": 8},
        text_config={**tower, "vocab_size": 40, "max_position_embeddings": 16, "projection_size": 32},
    )
    torch.manual_seed(0)
    transformers.SiglipModel(config).save_pretrained(tmp_path)
    transformers.SiglipImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(CLIP).save_pretrained(tmp_path)
    network = load_model(ModelSpec(f"hf:{tmp_path}", class_names=str(names)))
    scores = network.module(torch.randn(2, 3, 64, 64))
    assert scores.shape == (2, 6)
    assert float(scores.min()) > 0
    assert float(scores.max()) < 1
    explainer = Explainer(network, ExplainOptions(methods=("hirescam",), device="cpu"))
    assert explainer.layer.name.startswith("vision_model")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs class names. Give `class_names=FILE`"),
        ({"class_names": "one.txt"}, "has 1 class name. Give two or more"),
        ({"class_names": "two.txt", "prompts": ("a cat",)}, "'a cat' has no {} for the class name"),
        ({"class_names": "gone.txt"}, "cannot be read"),
    ],
)
def test_what_is_missing_is_named(
    given: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.txt").write_text("cat")
    Path("two.txt").write_text("cat\ndog")
    with pytest.raises(CamxError, match=message.replace("{", "\\{")):
        load_model(ModelSpec(f"hf:{CLIP}", **given))  # type: ignore[arg-type]


def test_prompts_are_for_networks_of_texts_alone() -> None:
    with pytest.raises(CamxError, match="`prompts`: `model` 'demo' has its own classes"):
        load_model(ModelSpec("demo", prompts=("a {}",)))
