"""Displays in notebooks and Python: explanations, lists of them, runs of folders, and their progress."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from cam_cli import CamxError, Explainer, ExplainOptions, ModelSpec, explain_folder, load_model
from cam_cli.maps.explanation import Explanation, Explanations
from cam_cli.notebook import in_notebook

from .conftest import picture


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(load_model("demo"), ExplainOptions(targets=("predicted", "top:2"), device="cpu"))  # type: ignore[arg-type]


class Tags(HTMLParser):
    """Counts the tags of a page, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def images_in(text: str) -> list[Image.Image]:
    found = re.findall(r"data:image/webp;base64,([^\"]+)", text)
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


def test_an_explanation_shows_itself(explainer: Explainer) -> None:
    (one,) = explainer([picture(900, 600)])
    shown = one.picture
    named = dataclasses.replace(shown, source=dataclasses.replace(shown.source, key="<script>alert(1)&.png"))
    one = dataclasses.replace(one, picture=named)
    text = one._repr_html_()
    tags = Tags(text)
    assert tags.open == []
    assert "script" not in tags.seen
    assert [image.size for image in images_in(text)] == [(512, 341)] * 3
    assert text.count("<tr>") == 5
    assert re.fullmatch(r"Explanation\('<script>alert\(1\)&.png': \w+ \d+%, 2 maps\)", repr(one))
    assert repr(one.maps[0]) == f"ClassMap(gradcam for {one.ranking[0].name}, layer maps, 22×22)"


def test_a_list_shows_a_grid_of_the_first(explainer: Explainer) -> None:
    found = explainer([picture(60, 40, seed) for seed in range(2)])
    assert isinstance(found, Explanations)
    assert len(images_in(found._repr_html_())) == 2
    many = Explanations([*found] * 13)
    assert len(images_in(many._repr_html_())) == 24
    assert "2 explanations more" in many._repr_html_()
    assert Explanations()._repr_html_()


def test_networks_without_a_map_have_a_reason(explainer: Explainer) -> None:
    (one,) = explainer([picture()])
    broken = Explanation(one.picture, problem="it is <odd>")
    assert "it is &lt;odd&gt;" in broken._repr_html_()
    assert "it is &lt;odd&gt;" in Explanations([broken])._repr_html_()
    assert repr(broken).endswith("it is <odd>)")


def test_a_folder_is_explained_with_the_options_of_the_command(images: Path, tmp_path: Path) -> None:
    given = {"no_pretrained": True, "target": "top:2", "method": ["gradcam", "layercam"], "save": ("overlay", "array")}
    run = explain_folder(
        images, "test_resnet", output=str(tmp_path / "out"), top_k=3, report=False, device="cpu", **given
    )
    assert repr(run) == f"FolderRun({str(tmp_path / 'out')!r}: 7 of 7 images explained, 0 failed)"
    rows = run.results(rows=True)
    assert len(rows) == 7
    assert "top3_prob" in rows[0]
    assert len(run.results("maps", rows=True)) == 28
    assert "7 of 7 images" in run._repr_html_()
    again = explain_folder(
        [images], "test_resnet", output=str(tmp_path / "out"), top_k=3, report=False, device="cpu",
        pretrained=False, targets=run_targets("top:2"), methods=("gradcam", "layercam"), save=("overlay", "array"),
    )  # fmt: skip
    assert again.summary["skipped"] == 7


def run_targets(word: str) -> tuple[Any, ...]:
    from cam_cli import Target

    return (Target.parse(word),)


def test_wrong_options_are_refused_by_name(images: Path) -> None:
    with pytest.raises(CamxError, match="no option `top_kk`. Did you mean top_k"):
        explain_folder(images, "demo", top_kk=3)
    with pytest.raises(CamxError, match="`alpha` 3 is out of range"):
        explain_folder(images, "demo", alpha=3)
    with pytest.raises(CamxError, match="no file or folder"):
        explain_folder("nowhere", "demo", device="cpu")


def test_a_notebook_gets_a_bar_and_warnings(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    element = SimpleNamespace(update=drawn.append)

    def display(shown: str, display_id: bool = False) -> Any:
        drawn.append(shown)
        return element

    python, shown = ModuleType("IPython"), ModuleType("IPython.display")
    vars(python)["get_ipython"] = lambda: SimpleNamespace(config={"IPKernelApp": {}})
    vars(shown).update(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython", python)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    assert in_notebook()
    explain_folder(images, "test_resnet", output=str(tmp_path / "out"), no_pretrained=True, report=False, device="cpu")
    assert drawn[0] == "starting …"
    assert "7 images · timm/test_resnet" in drawn[1]
    assert '<progress max="7" value="7">' in drawn[-1]
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_the_spec_of_a_model_is_its_name(images: Path) -> None:
    from cam_cli.folder_run import _job

    job = _job({"sources": (str(images),), "model": "demo", "checkpoint": "w.pth", "limit": 3})
    assert job.model == ModelSpec("demo", checkpoint="w.pth")
    assert job.limit == 3
