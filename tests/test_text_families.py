"""Each class of networks that write text works in `camx caption` and `camx ask`, or is refused by name; as documented."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

from cam_cli.text import readers
from tests import answer_networks, text_networks
from tests.text_families import REFUSED, refused

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]
TILES, PACKED, QUERIES = "cuts an image into several tiles", "packs the patches", "queries, which lie nowhere"
CAPTIONS, ANSWERS, WORKS = "it takes no question; `camx caption`", "it answers questions, for `camx ask`", ""
#: Per network: its class, and what `camx caption` and `camx ask` say of it; "" where they work.
CASES = {
    "vit_bert": ("VisionEncoderDecoderModel", WORKS, CAPTIONS),
    "vit_gpt2": ("VisionEncoderDecoderModel", WORKS, CAPTIONS),
    "blip captions": ("BlipForConditionalGeneration", WORKS, CAPTIONS),
    "blip": ("BlipForQuestionAnswering", ANSWERS, WORKS),
    "vilt": ("ViltForQuestionAnswering", ANSWERS, WORKS),
    "git": ("GitForCausalLM", WORKS, WORKS),
    "llava": ("LlavaForConditionalGeneration", WORKS, WORKS),
    "paligemma": ("PaliGemmaForConditionalGeneration", WORKS, WORKS),
    "internvl": ("InternVLForConditionalGeneration", WORKS, WORKS),
    "blip2": ("Blip2ForConditionalGeneration", WORKS, WORKS),
    "blip2_t5": ("Blip2ForConditionalGeneration", WORKS, WORKS),
    "instructblip": ("InstructBlipForConditionalGeneration", WORKS, WORKS),
    **{name: (f"{name}ForConditionalGeneration", TILES, TILES) for name in REFUSED if name in (
        "LlavaNext", "LlavaOnevision", "Idefics3", "SmolVLM"
    )},
    **{name: (f"{name}ForConditionalGeneration", PACKED, PACKED) for name in REFUSED if name in (
        "Qwen2VL", "Qwen2_5_VL", "Qwen3VL", "Pix2Struct"
    )},
    **{name: (f"{name}ForConditionalGeneration", QUERIES, QUERIES) for name in ("Kosmos2", "Idefics2")},
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str, str]:
    """A saved network in the working folder, beside an image."""
    name = str(request.param)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 130, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    own = name.removesuffix(" captions")
    if name in REFUSED:
        refused(name, tmp_path / "net")
    elif own in text_networks.FAMILIES and (name != own or own not in answer_networks.FAMILIES):
        text_networks.saved(own, tmp_path / "net")
    else:
        answer_networks.saved(own, tmp_path / "net")
    return CASES[name]


def test_a_network_works_or_is_refused_by_name(
    case: tuple[str, str, str], camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    """The maps of given words and of an answer, or the class with the reason, and no folder."""
    kind, *outcomes = case
    commands = (("caption", "--text", "a red shape"), ("ask", "--question", "is there a red shape?"))
    for (command, *words), reason in zip(commands, outcomes):
        code = camx(command, "a.png", "--model", "hf:net", "--device", "cpu", *words, "--no-report", "-o", command)
        said = " ".join(capsys.readouterr().err.split())
        if reason:
            assert code == 2
            assert f"'hf:net' is a {kind}, which camx does not explain: " in said
            assert reason in said
            assert not Path(command).exists()
            continue
        # A random network may end its answer at once, and then there is nothing to explain.
        table = Path(command, "words.csv" if command == "caption" else "answers.csv").read_text()
        assert (code, said.count("failed")) == (0, 0) or "the network wrote no answer" in table, said
        assert ("as one tile" in said) == (kind == "InternVLForConditionalGeneration")
        if command == "caption":
            assert len(list(Path("caption/overlays").iterdir())) == 2


def test_every_class_of_the_tables_is_a_case() -> None:
    known = {*readers.CAPTIONERS, *readers.ANSWERERS, *readers.REFUSED_CAPTIONERS, *readers.REFUSED_ANSWERERS}
    assert {kind for kind, _, _ in CASES.values()} == known
    for kind in known:
        assert hasattr(transformers, kind)
        assert (kind in readers.CAPTIONERS) != (kind in readers.REFUSED_CAPTIONERS)
        assert (kind in readers.ANSWERERS) != (kind in readers.REFUSED_ANSWERERS)


def test_the_table_of_the_page_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "hub.md").read_text()
    rows = re.findall(r"^\| `(\w+)`[^|]*\| (yes|no)[^|]* \| (yes|no)[^|]* \|", page, re.MULTILINE)
    wanted = {kind: (kind in readers.CAPTIONERS, kind in readers.ANSWERERS) for kind, _, _ in CASES.values()}
    assert {kind: (captions == "yes", answers == "yes") for kind, captions, answers in rows} == wanted


def test_another_class_is_refused_by_name(tmp_path: Path, camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "net")
    Image.new("RGB", (9, 9)).save("a.png")
    for command, words in (("caption", "no captioner that camx knows"), ("ask", "no network that answers questions")):
        more = ("--question", "a?") if command == "ask" else ()
        assert camx(command, "a.png", "--model", "hf:net", *more, "-o", "out") == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"'hf:net' is a GPT2LMHeadModel, {words}" in said
        assert "Give one of these classes: " in said
