"""Files of networks of open_clip: what is missing, broken or not supported ends in a sentence; what comes from the hub."""

from __future__ import annotations

import fnmatch
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cam_cli.errors import CamxError
from cam_cli.models import hub
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec
from cam_cli.models.placing import placed

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

from tools.tiny_clip import PROMPT

from .open_clip_networks import FAMILIES, edited, saved

CLIP = Path(__file__).parent / "fixtures" / "tiny_clip"
COMMIT, WORDS_COMMIT = "c" * 40, "d" * 40
WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("hub") / "small-clip", FAMILIES["class token"][0])


def load(folder: Path | str, names: Path, **more: object) -> Any:
    given: dict[str, Any] = {"prompts": (PROMPT,), **more}
    return load_model(ModelSpec(f"hf:{folder}", class_names=str(names), **given))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": "many"}, "has embed_dim 'many', which is no whole number"),
        ({"vision_cfg": None}, "has no vision_cfg"),
        ({"text_cfg": [1]}, "has no text_cfg"),
        ({"vision_cfg": {"layers": 10**6}}, r"has layers 1,000,000, more than any network"),
        ({"vision_cfg": {"width": float("inf")}}, r"has width inf, more than any network"),
        ({"text_cfg": {"context_length": 10**5}}, r"has context_length 100,000, more than any network"),
        ({"vision_cfg": {"width": 8192}}, "describes .* weights, but its file holds"),
        ({"vision_cfg": {"layers": 3}}, r"lack 'visual.transformer.resblocks.2.* and 11 other tensors\. Fetch both"),
        ({"vision_cfg": {"layers": 1}}, r"no place for, 'visual.transformer.resblocks.1.*`ignore_tensors`"),
        ({"vision_cfg": {"image_size": 96}}, r"do not fit its open_clip_config.json: 'visual.positional_embedding' is 65×32, and the network has 145×32"),
        ({"text_cfg": {"context_length": 20}}, r"'positional_embedding' is 16×32, and the network has 20×32"),
        ({"init_logit_bias": -10}, "lack 'logit_bias'"),
        ({"multimodal_cfg": {"width": 32}}, "is a CoCa, which also writes captions"),
        ({"text_cfg": {"hf_model_name": "roberta-base"}}, "encodes texts with 'roberta-base', a network of transformers"),
        ({"vision_cfg": {"timm_model_name": "vit_base_patch16_siglip_225"}}, r"which timm [\d.]+ does not know. Did you mean vit_base_patch16_siglip_"),
        ({"vision_cfg": {"timm_model_name": "hf-hub:owner/net"}}, "'hf-hub:owner/net', which timm .* does not know"),
        ({"text_cfg": {"tokenizer_kwargs": {"trust_remote_code": True}}}, r"arguments that camx does not know \('trust_remote_code'\)"),
        ({"text_cfg": {"tokenizer_kwargs": {"clean": "nothing"}}}, "The tokenizer of .* cannot be read"),
        ({"text_cfg": {"tokenizer_mode": "other"}}, "has tokenizer_mode 'other', which camx does not know"),
        ({"text_cfg": {"no_such_key": 1}}, r"open_clip 3[\d.]+ cannot build the network .* unexpected keyword argument 'no_such_key'.* `pip install -U open_clip_torch`"),
        ({"vision_cfg": {"output_tokens": True}}, "cannot run on images of 64×64 pixels"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_built_is_refused(
    vit: Path, names: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CamxError, match=message):
        load(edited(vit, tmp_path / "edited", **changes), names)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"mode": "L"}, "has images of the mode 'L', and camx knows RGB alone"),
        ({"resize_mode": "fit"}, "has resize_mode 'fit', which is none of shortest, longest, squash"),
        ({"interpolation": "lanczos"}, "has interpolation 'lanczos', which is none of"),
        ({"mean": [0.5, 0.5]}, r"has mean \[0.5, 0.5\], which is not one number for each of 3 channels"),
        ({"std": [0.5, 0, 0.5]}, "must be above 0"),
        ({"fill_color": 300}, "has fill_color 300, which is no level"),
    ],
)
def test_an_impossible_preprocessing_is_refused(
    vit: Path, names: Path, tmp_path: Path, said: dict[str, Any], message: str
) -> None:
    folder = edited(vit, tmp_path / "edited")
    content = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**content, "preprocess_cfg": said}))
    with pytest.raises(CamxError, match=message):
        load(folder, names)


def test_broken_configurations(vit: Path, names: Path, tmp_path: Path) -> None:
    folder = edited(vit, tmp_path / "edited")
    for text, message in (
        ("{", "cannot be read"),
        ("[]", "has no model_cfg"),
        ('{"model_cfg": 3}', "has no model_cfg"),
    ):
        (folder / CONFIG).write_text(text)
        with pytest.raises(CamxError, match=f"The open_clip_config.json of 'hf:.*' {message}.* Fetch it again"):
            load(folder, names)


def test_weights_that_are_missing_broken_or_of_another_format(vit: Path, names: Path, tmp_path: Path) -> None:
    folder = edited(vit, tmp_path / "edited")
    path = folder / WEIGHTS
    data, tensors = path.read_bytes(), {name: one.clone() for name, one in load_file(path).items()}
    path.write_bytes(data[:-1000])
    with pytest.raises(CamxError, match=f"{WEIGHTS}' is broken: .* Download or save it again"):
        load(folder, names)
    path.write_bytes(data[:100])
    with pytest.raises(CamxError, match="is cut short"):
        load(folder, names)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(CamxError, match="is a Git LFS pointer"):
        load(folder, names)
    save_file({**tensors, "visual.proj": torch.full_like(tensors["visual.proj"], torch.nan)}, path)
    with pytest.raises(CamxError, match="NaN or infinite values in 'visual.proj'"):
        load(folder, names)
    save_file({**tensors, "visual.extra": torch.zeros(2, 2)}, path)
    with pytest.raises(CamxError, match="no place for, 'visual.extra'"):
        load(folder, names)
    assert load(folder, names, ignore_tensors=("visual.ex*",)).idle_tensors == ("visual.extra",)
    path.unlink()
    with pytest.raises(CamxError, match=r"has no open_clip_model.safetensors beside its open_clip_config.json"):
        load(folder, names)
    torch.save(tensors, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(
        CamxError, match=r"its weights as open_clip_pytorch_model.bin; .* safetensors alone. Convert them"
    ) as refused:
        load(folder, names)
    call = str(refused.value).partition("Convert them: ")[2].removesuffix(".")
    here = Path.cwd()
    os.chdir(folder)
    exec(f"import safetensors.torch, torch\n{call}")
    os.chdir(here)
    assert load(folder, names).digest == load(vit, names).digest


def test_weights_of_half_precision_and_of_older_versions(vit: Path, names: Path, tmp_path: Path) -> None:
    """Texts beside the images in one list of names, a scale as a list, halves."""
    folder = edited(vit, tmp_path / "edited", custom_text=True)
    tensors = {name: one.clone() for name, one in load_file(folder / WEIGHTS).items()}
    old = {name: tensor.half() for name, tensor in tensors.items()} | {"logit_scale": tensors["logit_scale"][None]}
    save_file(old, folder / WEIGHTS)
    picture = torch.randn(2, 3, 64, 64)
    found, wanted = (load(one, names).module(picture) for one in (folder, vit))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, atol=2e-2, rtol=0)


def test_options_that_its_files_contradict(vit: Path, names: Path) -> None:
    with pytest.raises(CamxError, match="Leave `checkpoint` out"):
        load(vit, names, checkpoint="w.pth")
    with pytest.raises(CamxError, match="needs class names. Give `class_names=FILE`"):
        load_model(f"hf:{vit}")
    with pytest.raises(CamxError, match="'a cat' has no {} for the class name"):
        load(vit, names, prompts=("a cat",))


def test_a_tokenizer_of_another_vocabulary_is_refused(vit: Path, names: Path, tmp_path: Path) -> None:
    folder = edited(vit, tmp_path / "edited", text_cfg={"vocab_size": 10})
    tensors = {name: one.clone() for name, one in load_file(folder / WEIGHTS).items()}
    save_file({**tensors, "token_embedding.weight": tensors["token_embedding.weight"][:10].clone()}, folder / WEIGHTS)
    with pytest.raises(CamxError, match="gives the token 13, and its text encoder knows 10"):
        load(folder, names)


def test_the_file_of_weights_and_its_folder_are_one(vit: Path, names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = load(vit, names).digest
    for name in (str(vit), str(vit / WEIGHTS)):
        network = load_model(ModelSpec(name, class_names=str(names), prompts=(PROMPT,)))
        assert (network.name, network.digest) == ("hf:small-clip", digest)
    monkeypatch.chdir(vit.parent)
    assert placed(ModelSpec("hf:small-clip")).name == f"hf:{vit}"


def test_a_folder_that_holds_both_is_that_of_its_config_json(vit: Path, names: Path, tmp_path: Path) -> None:
    folder = edited(vit, tmp_path / "both")
    for file in CLIP.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    network = load(folder, names)
    assert network.digest == load(CLIP, names).digest
    assert network.notes == (
        "The files also hold a network of open_clip; camx uses that of transformers, which config.json names.",
    )
    assert load(CLIP, names).notes == ()
    (folder / "model.safetensors").unlink()
    network = load(folder, names)
    assert network.digest == load(vit, names).digest
    assert "whose weights are not there; camx uses that of open_clip" in network.notes[0]
    # As timm writes it beside the image encoder alone.
    (folder / "config.json").write_text('{"architecture": "vit_tiny_patch16_224", "num_classes": 0}')
    assert load(folder, names).notes == ()


class Hub:
    """Repositories of the hub, and the cache into which `snapshot_download` copies their files."""

    def __init__(self, cache: Path, **repositories: tuple[str, Path]) -> None:
        self.cache, self.repositories = cache, {name.replace("__", "/"): one for name, one in repositories.items()}
        self.fetched: list[str] = []

    def snapshot_download(
        self, repo: str, *, revision: str | None = None, allow_patterns: list[str], ignore_patterns: list[str] | None = None,
        local_files_only: bool = False,
    ) -> str:  # fmt: skip
        from huggingface_hub.errors import LocalEntryNotFoundError

        commit, files = self.repositories[repo]
        assert revision in (None, commit, "main")
        folder = self.cache / repo / "snapshots" / commit
        if local_files_only:
            if not folder.exists():
                raise LocalEntryNotFoundError(repo)
            return str(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(files.iterdir()):
            wanted = any(fnmatch.fnmatch(file.name, one) for one in allow_patterns)
            if wanted and not any(fnmatch.fnmatch(file.name, one) for one in ignore_patterns or []):
                (folder / file.name).write_bytes(file.read_bytes())
                self.fetched.append(file.name)
        return str(folder)


@pytest.fixture
def online(tmp_path: Path, vit: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hub]:
    def start(**repositories: tuple[str, Path]) -> Hub:
        found = Hub(tmp_path / "cache", **repositories)
        monkeypatch.setattr("huggingface_hub.snapshot_download", found.snapshot_download)
        monkeypatch.setattr(hub, "require_reachable", lambda *_, **__: None)
        return found

    return start


def test_a_repository_is_fetched_once_and_its_commit_recorded(
    vit: Path, names: Path, tmp_path: Path, online: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = edited(vit, tmp_path / "repository")
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"of the same size")
    found = online(owner__small=(COMMIT, folder))
    network = load("owner/small", names)
    assert (network.name, network.weights) == ("hf:owner/small", f"hf:owner/small at revision {COMMIT}")
    assert found.fetched.count(WEIGHTS) == 1
    assert "open_clip_pytorch_model.bin" not in found.fetched
    monkeypatch.setattr(hub, "require_reachable", lambda *_, **__: pytest.fail("asked the hub"))
    assert load(f"owner/small@{COMMIT}", names).digest == network.digest == load(vit, names).digest


def test_of_a_repository_with_both_one_is_fetched(
    vit: Path, names: Path, tmp_path: Path, online: Callable[..., Hub]
) -> None:
    folder = edited(vit, tmp_path / "repository")
    for file in CLIP.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    found = online(owner__both=(COMMIT, folder))
    assert load("owner/both", names).digest == load(CLIP, names).digest
    assert [name for name in found.fetched if name.endswith(".safetensors")] == ["model.safetensors"]
    (folder / "model.safetensors").unlink()
    found = online(owner__both=(WORDS_COMMIT, folder))
    assert load("owner/both", names).digest == load(vit, names).digest
    assert [name for name in found.fetched if name.endswith(".safetensors")] == [WEIGHTS]


def test_a_tokenizer_in_another_repository(
    vit: Path, names: Path, tmp_path: Path, online: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, words = edited(vit, tmp_path / "network"), tmp_path / "words"
    words.mkdir()
    for file in folder.glob("*token*"):
        file.rename(words / file.name)
    online(owner__words=(WORDS_COMMIT, words))
    network = load(folder, names)
    assert network.digest == load(vit, names).digest
    assert network.notes == (f"The tokenizer is owner/words at revision {WORDS_COMMIT}.",)
    monkeypatch.undo()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        CamxError, match=r"The tokenizer 'owner/words' of 'hf:.*' is not on this machine, and HF_HUB_OFFLINE"
    ):
        load(folder, names)
    with pytest.raises(CamxError, match="names the tokenizer '../words', which is no repository"):
        load(edited(folder, tmp_path / "edited", text_cfg={"hf_tokenizer_name": "../words"}), names)


@pytest.mark.parametrize("head", ["library_name: open_clip", "tags:\n- clip\n- open_clip", "tags: [open-clip]"])
def test_a_repository_that_only_its_tags_call_open_clip(head: str, vit: Path, names: Path, tmp_path: Path) -> None:
    folder = edited(vit, tmp_path / "edited")
    (folder / CONFIG).unlink()
    (folder / "README.md").write_text(f"---\nlicense: mit\n{head}\n---\n# A network\n")
    with pytest.raises(
        CamxError, match="names open_clip in the tags of its README.md, but has no open_clip_config.json"
    ):
        load(folder, names)
    (folder / "README.md").write_text("# open_clip\n")
    with pytest.raises(CamxError, match=r"has no config.json .* of transformers \(save_pretrained\) or of open_clip"):
        load(folder, names)


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (
            "open_clip",
            r"is a network of open_clip, which is not installed. Install it with `pip install 'camx\[open-clip\]'`",
        ),
        (
            "transformers",
            r"The tokenizer of .*, 'owner/words', is one of the transformers library .* 'camx\[open-clip\]'`",
        ),
    ],
)
def test_without_a_package_the_extra_is_named(
    package: str, message: str, vit: Path, names: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CamxError, match=message):
        load(vit, names)


def test_an_older_open_clip_is_named(vit: Path, names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_clip, "__version__", "2.32.0")
    with pytest.raises(CamxError, match=r"needs open_clip 3\.3 or newer, but 2\.32\.0 is installed"):
        load(vit, names)
