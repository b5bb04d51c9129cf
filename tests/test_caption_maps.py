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
from cam_cli.text.grid import probed, token_grid
from cam_cli.text.options import CaptionOptions
from cam_cli.text.records import Captioned
from cam_cli.text.teacher import Taught, teach
from tests import answer_networks
from tests.library_text import CaptionLibrary, Library
from tests.text_networks import FAMILIES, SIDE, lively, saved, vision

#: Texts that all tokenizers have: of five or six words, and of three.
TEXTS = ("a yellow shape a red shape", "a blue shape")
#: Words by their pieces: one of two pieces, one of one.
MEMBERS = [[(1, 2), (5,)], [(1,), (2,)]]
#: Networks whose captions are answers to a prompt, and the prompt.
ASKED = {**dict.fromkeys(("llava", "internvl"), "Provide a one-sentence caption for the provided image.")}
ASKED |= {"paligemma": "caption en", "blip2": "", "blip2_t5": "", "instructblip": "A short image description."}
AROUND = {"paligemma": "<image>{}", "blip2": "{}", "blip2_t5": "{}"}
ATTENDING = [*FAMILIES, *answer_networks.PLACEHOLDERS]


@pytest.fixture(scope="module", params=[*FAMILIES, *ASKED])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    return name, saved(name, folder) if name in FAMILIES else answer_networks.saved(name, folder)


@pytest.fixture
def library(family: tuple[str, Path]) -> Library:
    name, folder = family
    return CaptionLibrary(name, folder) if name in FAMILIES else Library(name, folder, ASKED[name], AROUND.get(name))


def encoded(engine: Captioner) -> list[list[int]]:
    return [engine._encoded(text) for text in TEXTS]


def members(length: int) -> Tensor:
    found = torch.zeros(2, 2, length)
    for row, words in enumerate(MEMBERS):
        for column, pieces in enumerate(words):
            found[row, column, list(pieces)] = 1
    return found


def taught(engine: Captioner, texts: list[list[int]], images: list[Image.Image] | None = None) -> Taught:
    some = drawn(len(texts)) if images is None else images
    pictures = as_pictures(some, engine.network.preprocessing, [""] * len(some))
    with torch.no_grad():
        tokens = engine._tokens(engine._runner.inputs(pictures))
    return teach(engine._module, engine._reader, tokens, engine._prompt, texts)


def test_log_probabilities_are_those_of_the_library(family: tuple[str, Path], library: Library) -> None:
    engine = captioner(family[1])
    texts = encoded(engine)
    found = taught(engine, texts).log_probabilities
    for row, (text, image) in enumerate(zip(texts, drawn(2))):
        with torch.no_grad():
            wanted = library.logs_of(library.scores(image, text)[0], text)
        assert torch.allclose(found[row, : len(text)], wanted, atol=1e-4)


def test_hirescam_is_its_definition(family: tuple[str, Path], library: Library) -> None:
    engine = captioner(family[1], method="hirescam")
    texts = encoded(engine)
    own = taught(engine, texts)
    found = own.hirescam(members(own.log_probabilities.shape[1]))
    for row, (text, image) in enumerate(zip(texts, drawn(2))):
        for column, pieces in enumerate(MEMBERS[row]):

            def score(scores: Tensor, text: list[int] = text, pieces: tuple[int, ...] = pieces) -> Tensor:
                return library.logs_of(scores, text)[[*pieces]].sum()

            wanted = library.hirescam(image, engine.layer.name, score, text)
            assert wanted.abs().max() > 1e-6
            assert torch.allclose(found[row, column], wanted, atol=2e-5 * float(wanted.abs().max()) + 1e-7)


def test_attention_times_gradient_is_its_definition(family: tuple[str, Path], library: Library) -> None:
    """Two words at once, one of two pieces, in a batch of texts of two lengths."""
    if family[0] not in ATTENDING:
        pytest.skip("no text attends to the image tokens")
    engine = captioner(family[1])
    assert engine.method == "attention-gradient"
    texts = encoded(engine)
    own = taught(engine, texts)
    found = own.word_maps(members(own.log_probabilities.shape[1]))
    for row, (text, image) in enumerate(zip(texts, drawn(2))):
        for column, pieces in enumerate(MEMBERS[row]):
            wanted = library.word_map(image, text, pieces)
            assert wanted.max() > 0
            assert torch.allclose(found[row, column], wanted, atol=2e-5 * float(wanted.max()) + 1e-8)


def test_words_one_after_the_other_give_the_same_maps(
    family: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If torch cannot batch the backward, and if the memory holds one word at a time."""
    engine = captioner(family[1])
    own = taught(engine, encoded(engine))
    find = own.word_maps if family[0] in ATTENDING else own.hirescam
    some = members(own.log_probabilities.shape[1])
    wanted = find(some)
    monkeypatch.setattr("cam_cli.text.teacher._BUDGET", 1)
    assert torch.allclose(find(some), wanted, atol=1e-6)
    grad = torch.autograd.grad

    def without_batches(*args: Any, is_grads_batched: bool = False, **more: Any) -> Any:
        if is_grads_batched:
            raise RuntimeError("vmap: no batching rule")
        return grad(*args, **more)

    monkeypatch.setattr(torch.autograd, "grad", without_batches)
    assert torch.allclose(find(some), wanted, atol=1e-6)


def test_a_text_as_long_as_the_image_has_tokens(tmp_path: Path) -> None:
    """Attention among words then has the shape of attention to the image, and must not replace it."""
    folder = saved("vit_bert", tmp_path)
    engine, library = captioner(folder), CaptionLibrary("vit_bert", folder)
    text = (encoded(engine)[0] * 3)[:17]  # 4×4 patches and the class token
    own = taught(engine, [text])
    assert len(own.attentions) == 2
    found = own.word_maps(torch.eye(own.log_probabilities.shape[1])[None, 3:4])
    assert torch.allclose(found[0, 0], library.word_map(drawn(1)[0], text, [3]), atol=1e-6)


def captioner(folder: Path, **options: Any) -> Captioner:
    return Captioner.load(f"hf:{folder}", CaptionOptions(device="cpu", **options))


def drawn(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(5)
    return [Image.fromarray(rng.integers(0, 255, (50, 70, 3), dtype=np.uint8)) for _ in range(count)]


def captions(engine: Captioner, images: list[Image.Image], texts: list[str | None]) -> list[Captioned]:
    pictures = as_pictures(images, engine.network.preprocessing, [""] * len(images))
    given = {one.source.key: text for one, text in zip(pictures, texts) if text}
    return engine.caption(pictures, given)


def test_a_caption_is_what_the_library_generates(family: tuple[str, Path], library: Library) -> None:
    engine = captioner(family[1], words="all", max_new_tokens=6)
    images = drawn(2)
    found = captions(engine, images, [None, None])
    assert [one.problem for one in found] == ["", ""]
    assert [one.text for one in found] == [library.written(image, 6) for image in images]
    for one in found:
        # Random networks also write tokens that are not words.
        assert one.logprob <= sum(word.logprob for word in one.words) + 1e-4
        assert {made.values.shape for made in one.maps} <= {(4, 4)}


def test_a_prompt_is_the_beginning_of_the_caption(family: tuple[str, Path]) -> None:
    """The words of the prompt are read, and have no maps; the text behind it is explained."""
    name, folder = family
    engine = captioner(folder, prompt="a red")
    (one,) = captions(engine, drawn(1), ["shape"])
    assert [word.word for word in one.words] == ["shape"]
    (usual,) = captions(captioner(folder), drawn(1), ["shape"])
    assert abs(one.logprob - usual.logprob) > 1e-4
    if name in FAMILIES:
        (whole,) = captions(captioner(folder, words="all"), drawn(1), ["a red shape"])
        assert one.logprob == pytest.approx(whole.words[-1].logprob, abs=1e-4)
        assert np.allclose(one.maps[0].values, whole.maps[-1].values, atol=1e-6)


@pytest.mark.parametrize("name", ["llava", "blip2"])
def test_a_given_text_with_the_token_of_the_image_is_refused(name: str, tmp_path: Path) -> None:
    engine = captioner(answer_networks.saved(name, tmp_path))
    engine.check_text("a red shape")
    with pytest.raises(CamxError, match="The text 'a <image> shape' holds '<image>', which stands for the image"):
        engine.check_text("a <image> shape")


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
        ({"architectures": ["Idefics3ForConditionalGeneration"]}, "cuts an image into several tiles"),
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
    with pytest.raises(CamxError, match="do not match the places of the image: its .* quarter changes with"):
        token_grid("encoder", picture, turned)
    with pytest.raises(CamxError, match="fit no grid"):
        token_grid("encoder", picture, tokens[:, :23])
