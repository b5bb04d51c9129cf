"""Every kind of file of the table loads as in its own library, or ends with its error."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torch import nn

from cam_cli.errors import CamxError
from cam_cli.models.catalog import Network, load_model
from cam_cli.models.options import ModelSpec
from tests.checkpoint_kinds import LOADS, Loads
from tests.refused_kinds import REFUSED
from tools.checkpoints_page import PAGE, page

pytestmark = pytest.mark.filterwarnings("ignore:.*DataParallel", "ignore:.*quant")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (15, 20, 3), np.uint8)
    return Image.fromarray(pixels).resize((200, 150), Image.Resampling.BICUBIC)


def original(loads: Loads, photo: Image.Image) -> torch.Tensor:
    """Probabilities of the trained network in timm's own pipeline."""
    inner = next(m for m in loads.module.modules() if hasattr(m, "pretrained_cfg"))
    config = resolve_data_config(dict(loads.said), model=inner)
    channels = next(p.shape[1] for p in loads.module.parameters() if p.dim() == 4)
    if hasattr(inner, "patch_embed"):
        config["input_size"] = (channels, *inner.patch_embed.img_size)  # type: ignore[union-attr]
    if channels == 1:
        photo = photo.convert("L")
        config |= {key: (sum(config[key]) / 3,) for key in ("mean", "std")}
    with torch.no_grad():
        scores: torch.Tensor = loads.module.eval()(create_transform(**config)(photo)[None])
    return scores.softmax(1)[0]


def explained(network: Network, photo: Image.Image) -> torch.Tensor:
    pixels, _ = network.preprocessing.apply(photo)
    values = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (network.preprocessing.mean, network.preprocessing.std))
    with torch.no_grad():
        scores: torch.Tensor = network.module(((values - mean) / std)[None])
    return scores.softmax(1)[0]


@pytest.mark.parametrize("kind", LOADS)
def test_it_gives_what_its_own_library_gives(
    kind: str, tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "kind").mkdir()
    loads = LOADS[kind](tmp_path / "kind")
    network = load_model(ModelSpec(**loads.spec))
    wanted, found = original(loads, photo), explained(network, photo)
    assert wanted.topk(5).indices.tolist() == found.topk(5).indices.tolist()
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", REFUSED)
def test_it_ends_in_its_sentence(kind: str, tmp_path: Path) -> None:
    make, message = REFUSED[kind]
    spec = make(tmp_path)
    with pytest.raises(CamxError, match=re.escape(message)):
        load_model(ModelSpec(**spec))


def test_the_page_is_that_of_the_table() -> None:
    assert len(LOADS) + len(REFUSED) >= 90
    assert PAGE.read_text("utf-8") == page()


def test_a_trained_network_is_not_flat(photo: Image.Image) -> None:
    """The comparison can fail: another seed gives other probabilities."""
    from tests.checkpoint_kinds import trained

    one, other = (original(Loads(trained(seed=seed), {}), photo) for seed in (7, 8))
    assert isinstance(trained(), nn.Module)
    assert not torch.allclose(one, other, atol=1e-3)
