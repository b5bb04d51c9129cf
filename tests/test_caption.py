"""`camx caption`: captions, tables, journal, report; and maps of a trained captioner that lie on the named shapes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

from benchmarks.hub_pointing import lost_colours
from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.images.geometry import Frame
from cam_cli.maps.heatmap import placed
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.text.captioner import Captioner
from cam_cli.text.options import CaptionOptions
from tools.tiny_captioner import captions as texts_of
from tools.tiny_clip import COLOURS, scenes

FIXTURE = Path(__file__).parent / "fixtures" / "tiny_captioner"
GIVEN = ("--model", f"hf:{FIXTURE}", "--device", "cpu")
Camx = Callable[..., int]


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number, (pixels, _) in enumerate(scenes(3, 7)):
        Image.fromarray(pixels).resize((160, 160)).save(folder / f"{number}.png")
    return folder


def rows_of(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def test_words_point_to_the_shape_that_they_name() -> None:
    """Colours of 80 scenes: the peak of a map in the mask, next to it, in the other shape; docs/hub.md has figures."""
    engine = Captioner.load(f"hf:{FIXTURE}", CaptionOptions(device="cpu"))
    some = scenes(80, 3)
    found = engine.caption(
        as_pictures([Image.fromarray(pixels) for pixels, _ in some], engine.network.preprocessing, [""] * len(some))
    )
    inside, near, other, right = [], [], [], []
    for one, (_, masks) in zip(found, some):
        right.append(set(one.text.split()) & set(COLOURS) == set(masks))
        for made in one.maps:
            name = made.prediction.name
            if name not in masks:
                continue
            heat = placed(np.maximum(made.values, 0) / made.values.max(), Frame(0, 0, 64, 64), 64, 64)
            y, x = np.unravel_index(int(heat.argmax()), heat.shape)
            inside.append(masks[name][y, x])
            near.append(((np.argwhere(masks[name]) - (y, x)) ** 2).sum(1).min() <= 3.2**2)
            other.append(any(mask[y, x] for colour, mask in masks.items() if colour != name))
    assert np.mean(right) >= RIGHT
    assert np.mean(inside) >= INSIDE  # baseline, always the centre: 0.06
    assert np.mean(near) >= NEAR
    assert np.mean(other) <= OTHER


RIGHT, INSIDE, NEAR, OTHER = 0.85, 0.92, 0.92, 0.04


def test_a_colour_depends_on_its_own_shape() -> None:
    """Covering the other shape takes nothing from a colour, whether it is named first or second."""
    engine = Captioner.load(f"hf:{FIXTURE}", CaptionOptions(device="cpu"))
    two = [(pixels, masks, texts_of(masks)[0]) for pixels, masks in scenes(40, 3) if len(masks) == 2]
    by_first, by_second = np.median(lost_colours(engine, two), axis=1)
    assert by_first[0] >= 2
    assert by_second[1] >= 2
    assert by_first[1] <= 0.3
    assert by_second[0] <= 0.3


def test_a_run_leaves_captions_words_and_overlays(drawn: Path, camx: Camx) -> None:
    assert camx("caption", drawn, *GIVEN, "-o", "out") == 0
    captions, words = rows_of("out/captions.csv"), rows_of("out/words.csv")
    assert [row["status"] for row in captions] == ["ok"] * 3
    for row, (_, masks) in zip(captions, scenes(3, 7)):
        assert len(row["text"].split()) == len(texts_of(masks)[0].split())
    first = [row for row in words if row["image"] == "0.png"]
    assert " ".join(row["word"] for row in first) == captions[0]["text"]
    assert [row["position"] for row in first] == [str(place) for place in range(1, len(first) + 1)]
    for row in first:
        assert bool(row["overlay"]) == bool(row["cam_area"]) == (row["word"] not in ("a", "and"))
        assert 0 <= float(row["prob"]) <= 1
    two = [row for row in words if row["word"] in ("yellow", "purple", "orange")]
    assert {row["pieces"] for row in two} == {"2"}
    row = next(RunFolder.read("out").rows(["0.png"]))
    assert {one["scale"] for one in row["maps"]} == {max(one["peak"] or 0 for one in row["maps"])}
    assert [one["target_name"] for one in row["maps"]] == [
        one["word"] for one in row["caption"]["words"] if "map" in one
    ]
    assert all(Path("out", one["overlay"]).is_file() for one in row["maps"])
    record = json.loads(Path("out/run.json").read_text())
    assert record["fingerprint"]["command"] == RunFolder.read("out").command == "caption"
    page = Path("out/report/index.html").read_text()
    assert '"caption": {"text": "' in page or '"caption":{"text":"' in page


def test_all_words_of_a_caption_share_one_scale(drawn: Path, camx: Camx) -> None:
    """All words of a caption share one scale: the article depends on nothing and stays pale."""
    assert camx("caption", drawn / "0.png", *GIVEN, "--words", "all", "--save", "heatmap", "-o", "out") == 0
    row = next(RunFolder.read("out").rows())
    brightest = {
        one["target_name"]: int(np.asarray(Image.open(Path("out", one["heatmap"]))).max())
        for one in row["maps"]
        if "heatmap" in one
    }
    assert brightest.pop("a", 0) < 60
    assert max(brightest.values()) >= 250


def test_a_given_text_is_explained_in_place_of_the_own(drawn: Path, camx: Camx) -> None:
    Path("texts.csv").write_text("image,text\n1.png,a red shape and a blue shape\n")
    assert camx("caption", drawn, *GIVEN, "--text", "texts.csv", "--no-report", "-o", "out") == 0
    rows = {row["image"]: row for row in RunFolder.read("out").rows()}
    assert rows["1.png"]["caption"]["text"] == "a red shape and a blue shape"
    assert [rows[f"{i}.png"]["caption"].get("given", False) for i in range(3)] == [False, True, False]
    journal = Path("out/manifest.jsonl").read_bytes()
    assert camx("caption", drawn, *GIVEN, "--text", "texts.csv", "--no-report", "-o", "out") == 0
    assert Path("out/manifest.jsonl").read_bytes() == journal  # all were done
    Path("texts.csv").write_text("image,text\n1.png,a green shape\n")
    assert camx("caption", drawn, *GIVEN, "--text", "texts.csv", "--no-report", "-o", "out") == 0
    (again,) = Path("out/manifest.jsonl").read_text()[len(journal) :].splitlines()
    assert json.loads(again)["caption"]["text"] == "a green shape"
    assert camx("caption", drawn, *GIVEN, "--text", "a blue shape", "--no-report", "-o", "other") == 0
    assert {row["text"] for row in rows_of("other/captions.csv")} == {"a blue shape"}


def test_words_that_the_network_does_not_know_are_a_warning(
    drawn: Path, camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.csv").write_text('image,text\n0.png,"a red shape, and\na hat"\n1.png,a red shape\n2.png,שלום red shape\n')
    assert camx("caption", drawn, *GIVEN, "--text", "t.csv", "--no-report", "-o", "out") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "2 texts have words that are not in the vocabulary (2.png, 0.png). Such words have no map" in said
    words = [(row["image"], row["word"]) for row in rows_of("out/words.csv")]
    assert [word for image, word in words if image == "2.png"] == ["red", "shape"]
    assert camx("caption", drawn, *GIVEN, "--text", "a red shape", "--no-report", "-o", "known") == 0
    assert "vocabulary" not in capsys.readouterr().err


def test_a_prompt_belongs_to_the_fingerprint_and_without_one_it_is_that_of_earlier_versions(
    drawn: Path, camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("caption", drawn, *GIVEN, "--no-report", "-o", "out") == 0
    fingerprint = json.loads(Path("out/run.json").read_text())["fingerprint"]
    assert "prompt" not in fingerprint
    assert fingerprint["method"] == "attention-gradient"
    assert camx("caption", drawn, *GIVEN, "--no-report", "-o", "out", "--prompt", "a red") == 2
    assert "prompt" in " ".join(capsys.readouterr().err.split())
    assert camx("caption", drawn, *GIVEN, "--no-report", "-o", "other", "--prompt", "a red") == 0
    assert json.loads(Path("other/run.json").read_text())["fingerprint"]["prompt"] == "a red"
    for row in rows_of("other/captions.csv"):
        assert row["text"].split()[0] == "shape"


def test_parts_of_a_run_are_joined(drawn: Path, camx: Camx) -> None:
    alone = (*GIVEN, "-b", "1")  # sums over a batch of another size are rounded differently
    for shard in ("1/2", "2/2"):
        assert camx("caption", drawn, *alone, "-o", "parts", "--shard", shard) == 0
    assert camx("merge", "parts") == 0
    assert camx("caption", drawn, *alone, "-o", "whole") == 0
    for name in ("captions.csv", "words.csv"):
        assert rows_of(f"parts/{name}") == rows_of(f"whole/{name}")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--text", "gone.csv"), "gone.csv"),
        (("--text", "unnamed.csv"), "has no column 'text'"),
        (("--text", "other.csv"), "No image is named in"),
        (("--save", "spots"), "works only for maps of classes, not of words"),
        (("--text", " "), "is empty"),
        (("--text", "empty.csv"), "No image of this run has a text in 'empty.csv'"),
        (("--text", "long.csv"), "'long.csv', 2.png: The text 'a red a red"),
        (("--text", "a red " * 20), "has 40 pieces, and the network reads 32"),
        (("--checkpoint", "x.pth"), "--checkpoint"),
    ],
)
def test_what_cannot_be_is_refused(
    drawn: Path, camx: Camx, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    Path("unnamed.csv").write_text("image,words\n1.png,a\n")
    Path("other.csv").write_text("image,text\n9.png,a\n")
    Path("empty.csv").write_text("image,text\n1.png,\n")
    Path("long.csv").write_text(f"image,text\n1.png,a\n2.png,{'a red ' * 20}\n")
    assert camx("caption", drawn, *GIVEN, *more, "-o", "out") == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("out").exists()


def test_captions_are_logged_with_their_strongest_word(drawn: Path, camx: Camx) -> None:
    from cam_cli.tracking.caption_log import caption_log
    from cam_cli.tracking.tracker import ImageCell, Table

    assert camx("caption", drawn, *GIVEN, "--text", "a red shape", "--no-report", "-o", "out") == 0
    values, summary, _ = caption_log(RunFolder.read("out"), 2)
    table = values["captions"]
    assert isinstance(table, Table)
    assert len(table.rows) == summary["table/rows"] == 2
    assert summary["images"] == 3
    cells = dict(zip(table.columns, table.rows[0]))
    assert (cells["text"], cells["words"], cells["status"]) == ("a red shape", 3, "ok")
    assert cells["word"] in ("red", "shape")
    assert isinstance(cells["overlay"], ImageCell)
    assert camx("push", "out", "--tensorboard") == 0
    assert list(Path("out/tensorboard").iterdir())
