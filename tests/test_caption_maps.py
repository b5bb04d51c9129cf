"""Maps of words: the library's own probabilities, and maps equal to their definition, word by word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.cams.target_layer.probe import probe_picture
from cam_cli.cams.tracing.attention import AttentionRecorder
from cam_cli.errors import CamxError
from cam_cli.text.captioner import Captioner
from cam_cli.text.families import CAPTIONERS, image_tokens, start_token
from cam_cli.text.grid import probed, token_grid
from cam_cli.text.options import CaptionOptions
from cam_cli.text.records import Captioned
from cam_cli.text.teacher import Taught, Teacher
from tests.text_networks import FAMILIES, SIDE, lively, saved, vision
from tools.tiny_captioner import encoded

TEXTS = [encoded("a yellow shape and a red shape")[1:-1], encoded("a blue shape")[1:-1]]
#: Words by their pieces: one of two pieces, one of one.
MEMBERS = [[(1, 2), (5,)], [(1,), (2,)]]


def family_of(network: Any) -> Any:
    return CAPTIONERS[type(network).__name__]


@pytest.fixture(params=list(FAMILIES))
def network(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(1)
    return lively(FAMILIES[request.param]())


def pixels(count: int = 2) -> Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


def members(length: int) -> Tensor:
    found = torch.zeros(2, 2, length)
    for row, words in enumerate(MEMBERS):
        for column, pieces in enumerate(words):
            found[row, column, list(pieces)] = 1
    return found


def taught(network: Any, texts: list[list[int]] = TEXTS, images: Tensor | None = None) -> Taught:
    family = family_of(network)
    with torch.no_grad():
        tokens = image_tokens(network, family, pixels() if images is None else images)
    return Teacher(network, family, start_token(network), 0).teach(tokens, texts)


def library(network: Any, row: int, texts: list[list[int]] = TEXTS) -> tuple[Tensor, list[Tensor], Tensor]:
    """Log-probabilities of one text by the library, its attentions to the image (eager), and the image tokens."""
    family = family_of(network)
    network.set_attn_implementation("eager")
    kept: dict[str, Tensor] = {}

    def keep(_module: Any, _inputs: Any, output: Any) -> Any:
        tokens = output if isinstance(output, Tensor) else output.last_hidden_state
        kept["tokens"] = tokens.detach().requires_grad_()
        if isinstance(output, Tensor):
            return kept["tokens"]
        output.last_hidden_state = kept["tokens"]
        return output

    hook = network.get_submodule(family.layer).register_forward_hook(keep)
    ids = torch.tensor([[start_token(network), *texts[row]]])
    found = network(pixel_values=pixels()[row : row + 1], **{family.ids: ids}, output_attentions=True)
    hook.remove()
    logs = found.logits[:, -ids.shape[1] : -1].log_softmax(-1).gather(2, ids[:, 1:, None])[0, :, 0]
    images = kept["tokens"].shape[1]
    if family.prefixed:
        return logs, [one[:, :, images:, :images] for one in found.attentions], kept["tokens"]
    attentions = getattr(found, "cross_attentions", None)
    return logs, list(attentions or ()), kept["tokens"]


def test_log_probabilities_are_those_of_the_library(network: Any) -> None:
    found = taught(network).log_probabilities
    for row, text in enumerate(TEXTS):
        wanted, _, _ = library(network, row)
        assert torch.allclose(found[row, : len(text)], wanted, atol=1e-5)


def test_hirescam_is_its_definition(network: Any) -> None:
    own = taught(network)
    found = own.hirescam(members(own.log_probabilities.shape[1]))
    for row, words in enumerate(MEMBERS):
        for column, pieces in enumerate(words):
            logs, _, tokens = library(network, row)
            (gradient,) = torch.autograd.grad(logs[list(pieces)].sum(), tokens)
            wanted = (gradient * tokens)[0].sum(-1)
            assert torch.allclose(found[row, column], wanted, atol=1e-5 * float(wanted.abs().max()) + 1e-7)


def attention_times_gradient(network: Any, row: int, pieces: tuple[int, ...]) -> Tensor:
    """The definition from the attentions of the library, one word at a time."""
    family = family_of(network)
    if type(network).__name__ == "BlipForConditionalGeneration":
        return blip_definition(network, row, pieces)
    logs, parts, _ = library(network, row)
    # The library returns whole matrices; a slice of one has no gradient.
    whole = [one._base if family.prefixed else one for one in parts]
    gradients = torch.autograd.grad(logs[list(pieces)].sum(), whole)
    images, total = parts[0].shape[-1], torch.zeros(parts[0].shape[-1])
    for part, gradient in zip(parts, gradients):
        cut = gradient[:, :, images:, :images] if family.prefixed else gradient
        total += (part * cut.relu())[0][:, list(pieces)].mean((0, 1))
    return total


def blip_definition(network: Any, row: int, pieces: tuple[int, ...]) -> Tensor:
    """The library's BLIP returns no cross-attention: hooks store the outputs of its modules."""
    kept: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        kept.append(output[1])

    modules = [one.crossattention.self for one in network.text_decoder.bert.encoder.layer]
    hooks = [one.register_forward_hook(keep) for one in modules]
    logs, _, _ = library(network, row)
    for hook in hooks:
        hook.remove()
    gradients = torch.autograd.grad(logs[list(pieces)].sum(), kept)
    found = [(one * gradient.relu())[0][:, list(pieces)].mean((0, 1)) for one, gradient in zip(kept, gradients)]
    return torch.stack(found).sum(0)


def test_attention_times_gradient_is_its_definition(network: Any) -> None:
    """Two words at once, one of two pieces, in a batch of texts of two lengths."""
    own = taught(network)
    found = own.attention_gradient(members(own.log_probabilities.shape[1]))
    for row, words in enumerate(MEMBERS):
        for column, pieces in enumerate(words):
            wanted = attention_times_gradient(network, row, pieces)
            assert wanted.max() > 0
            assert torch.allclose(found[row, column], wanted, atol=1e-5 * float(wanted.max()) + 1e-8)


def test_words_one_after_the_other_give_the_same_maps(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If torch cannot batch the backward, and if the memory holds one word at a time."""
    own = taught(network)
    wanted = own.attention_gradient(members(own.log_probabilities.shape[1]))
    monkeypatch.setattr("cam_cli.text.teacher._BUDGET", 1)
    alone = own.attention_gradient(members(own.log_probabilities.shape[1]))
    assert torch.allclose(alone, wanted, atol=1e-7)
    grad = torch.autograd.grad

    def without_batches(*args: Any, is_grads_batched: bool = False, **more: Any) -> Any:
        if is_grads_batched:
            raise RuntimeError("vmap: no batching rule")
        return grad(*args, **more)

    monkeypatch.setattr(torch.autograd, "grad", without_batches)
    assert torch.allclose(own.attention_gradient(members(own.log_probabilities.shape[1])), wanted, atol=1e-7)


def test_a_text_as_long_as_the_image_has_tokens() -> None:
    """Attention among words then has the shape of attention to the image, and must not replace it."""
    torch.manual_seed(1)
    network = lively(FAMILIES["vit_bert"]())
    text = (encoded("a yellow shape and a red shape")[1:-1] * 3)[:17]  # 4×4 patches and the class token
    own = taught(network, [text], pixels(1))
    assert len(own.attentions) == 2
    found = own.attention_gradient(torch.eye(own.log_probabilities.shape[1])[None, 3:4])
    logs, parts, _ = library(network, 0, [text])
    gradients = torch.autograd.grad(logs[3], parts)
    wanted = sum((one * gradient.relu())[0, :, 3].mean(0) for one, gradient in zip(parts, gradients))
    assert torch.allclose(found[0, 0], wanted, atol=1e-6)


def captioner(folder: Path, **options: Any) -> Captioner:
    return Captioner.load(f"hf:{folder}", CaptionOptions(device="cpu", **options))


def drawn(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(5)
    return [Image.fromarray(rng.integers(0, 255, (50, 70, 3), dtype=np.uint8)) for _ in range(count)]


def captions(engine: Captioner, images: list[Image.Image], texts: list[str | None]) -> list[Captioned]:
    pictures = as_pictures(images, engine.network.preprocessing, [""] * len(images))
    given = {one.source.key: text for one, text in zip(pictures, texts) if text}
    return engine.caption(pictures, given)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_caption_is_what_the_library_generates(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path)
    engine = captioner(folder, words="all", max_new_tokens=6)
    images = drawn(2)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    own = getattr(transformers, type(engine.network.module).__name__).from_pretrained(folder)
    ids = own.generate(**processor(images, return_tensors="pt"), do_sample=False, max_new_tokens=6)
    wanted = [one.strip() for one in engine.tokenizer.batch_decode(ids, skip_special_tokens=True)]
    found = captions(engine, images, [None, None])
    assert [one.text for one in found] == wanted
    for one in found:
        # Random networks also write tokens that are not words.
        assert one.logprob <= sum(word.logprob for word in one.words) + 1e-4
        assert {made.values.shape for made in one.maps} <= {(4, 4)}


def test_a_map_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    """One image and text twice, beside a longer text, and alone; one written text among given ones."""
    engine = captioner(saved("vit_gpt2", tmp_path))
    first, second = drawn(2)
    text = "a red shape"
    together = captions(engine, [first, second, first, second], [text, "a red shape and a yellow shape", text, None])
    (alone,) = captions(engine, [first], [text])
    for one in (together[0], together[2]):
        assert [word.word for word in one.words] == ["a", "red", "shape"]
        for made, wanted in zip(one.maps, alone.maps, strict=True):
            assert np.allclose(made.values, wanted.values, atol=1e-6)
    assert [one.given for one in together] == [True, True, True, False]


def test_all_maps_of_a_caption_share_one_scale(tmp_path: Path) -> None:
    (one,) = captions(captioner(saved("blip", tmp_path)), drawn(1), ["a red shape and a yellow shape"])
    assert [made.prediction.name for made in one.maps] == ["red", "shape", "yellow", "shape"]
    assert [word.map for word in one.words] == [None, 0, 1, None, None, 2, 3]
    assert one.logprob == pytest.approx(sum(word.logprob for word in one.words), abs=1e-4)
    (scale,) = {made.scale for made in one.maps}
    assert scale == max(float(made.values.max()) for made in one.maps)


def test_an_image_without_colours_is_what_words_depend_on(tmp_path: Path) -> None:
    engine = captioner(saved("git", tmp_path))
    grey, other = Image.new("RGB", (64, 64), (128, 128, 128)), drawn(1)[0]
    found = captions(engine, [grey, other], ["a red shape"] * 2)
    # 128 of 255 is a little more than the mean of 0.5.
    plain, real = (max(abs(word.depends) for word in one.words) for one in found)
    assert plain < 0.2 * real


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architectures": ["Blip2ForConditionalGeneration"]}, "words read 32 queries, which lie nowhere"),
        ({"architectures": ["Qwen2VLForConditionalGeneration"]}, "packs the patches"),
        ({"architectures": ["ViTForImageClassification"]}, "a ViTForImageClassification, no captioner that camx knows"),
        ({"architectures": ["Mine"], "auto_map": {"AutoModel": "code.Mine"}}, "a Mine, no captioner"),
    ],
)
def test_other_networks_are_refused_by_name(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    (tmp_path / "config.json").write_text(__import__("json").dumps(config))
    with pytest.raises(CamxError, match=message):
        captioner(tmp_path)


def test_a_name_without_hf_is_no_captioner() -> None:
    with pytest.raises(CamxError, match="'resnet50' is no captioner of the transformers library"):
        Captioner.load("resnet50")


def test_causal_and_grouped_attention_equal_those_of_torch() -> None:
    """Values and gradients equal those of torch's own function."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, heads, 5, 8, requires_grad=True) for heads in (4, 2, 2))
    attend = torch.nn.functional.scaled_dot_product_attention
    for more in ({"is_causal": True}, {"scale": 0.3}, {"attn_mask": torch.ones(5, 5, dtype=torch.bool).tril(1)}):
        wanted = attend(query, key, value, enable_gqa=True, **more)  # type: ignore[arg-type]
        recorder = AttentionRecorder(2, 5, 5)
        with recorder:
            found = attend(query, key, value, enable_gqa=True, **more)  # type: ignore[arg-type]
        assert torch.allclose(found, wanted, atol=1e-6)
        assert recorder.shapes == [(2, 4, 5, 5)]
        grads = [torch.autograd.grad(one.square().sum(), (query, key, value)) for one in (found, wanted)]
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*grads))


def test_tokens_in_another_layout_are_an_error(tmp_path: Path) -> None:
    """camx proves the layout of the tokens: a sequence in another order is no map, and one of another length no
    grid."""
    torch.manual_seed(0)
    tower = lively(transformers.ViTModel(transformers.ViTConfig(**vision(8))))
    picture = probe_picture(3, (SIDE, SIDE))
    with torch.no_grad():
        tokens = tower(probed(picture)).last_hidden_state
    found = token_grid("encoder", picture, tokens).layout
    assert (found.height, found.width, found.prefix) == (8, 8, 1)
    turned = torch.cat([tokens[:, :1], tokens[:, 1:].flip(1)], 1)
    with pytest.raises(CamxError, match="do not lie where the image is: its .* quarter changes with"):
        token_grid("encoder", picture, turned)
    with pytest.raises(CamxError, match="fit no grid"):
        token_grid("encoder", picture, tokens[:, :23])
