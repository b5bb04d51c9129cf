"""`camx explain` of a folder: rows, overlays, labels, classes, output."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from cam_cli.maps.sketch import decode as decoded

from .conftest import TINY, picture
from .explain_support import Camx, journal, table


def test_a_folder_is_explained(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images / "notes.txt").write_text("no image")
    assert camx("explain", images, *TINY) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("7 of 7 images explained, 0 failed, 0 blank\n")
    assert "target layer layer4" in printed.err
    rows = table()
    assert [row["image"] for row in rows] == [f"cat/{n}" for n in ("0.jpg", "1.png", "2.jpg", "3.png")] + [
        "dog/4.jpg",
        "dog/5.png",
        "dog/6.jpg",
    ]
    for row in rows:
        assert (row["status"], row["method"], row["layer"], row["label"], row["correct"]) == (
            "ok",
            "gradcam",
            "layer4",
            "",
            "",
        )
        assert row["overlay"] == f"overlays/{row['image']}.png"
        with Image.open(Path("camx-out") / row["overlay"]) as overlay:
            assert overlay.size == (int(row["width"]), int(row["height"]))
        assert float(row["top1_prob"]) >= float(row["top5_prob"]) > 0
        assert row["target_index"] == row["top1_index"]
        assert 0 <= float(row["cam_center_x"]) <= 1
    record = json.loads(Path("camx-out/run.json").read_text())
    assert (record["state"], record["ok"], record["plan"]["layer"]) == ("finished", 7, "layer4")
    assert record["versions"]["timm"] == timm.__version__
    assert set(record["stages"]) == {"decode", "model", "encode"}
    assert sorted(p.name for p in Path("camx-out").iterdir()) == [
        "manifest.jsonl",
        "maps.csv",
        "overlays",
        "predictions.csv",
        "report",
        "run.json",
    ]


def test_top_five_and_probabilities_are_those_of_timm(camx: Camx, images: Path) -> None:
    torch.manual_seed(0)
    module = timm.create_model("test_efficientnet").eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(module))
    assert camx("explain", images, "--model", "test_efficientnet", "--no-pretrained", "--device", "cpu") == 0
    for row in table():
        with torch.no_grad(), Image.open(images / row["image"]) as image:
            expected = module(transform(image.convert("RGB"))[None]).softmax(1)[0].topk(5)
        assert [int(row[f"top{k}_index"]) for k in range(1, 6)] == expected.indices.tolist()
        assert np.allclose([float(row[f"top{k}_prob"]) for k in range(1, 6)], expected.values.tolist(), atol=1e-4)


def test_several_methods_and_classes_share_one_row(camx: Camx, images: Path) -> None:
    argv = [
        "--method",
        "gradcam",
        "--method",
        "cam",
        "--target",
        "top:2",
        "--top-k",
        2,
        "--save",
        "overlay,heatmap,array",
        "--format",
        "jpg",
    ]
    assert camx("explain", images / "cat" / "0.jpg", *TINY, *argv) == 0
    (row,) = journal()
    top = [p["index"] for p in row["top"]]
    assert [(m["method"], m["target_index"]) for m in row["maps"]] == [("gradcam", c) for c in top] + [
        ("cam", c) for c in top
    ]
    for shown in row["maps"]:
        left, upper, right, lower = shown["box"]
        assert 0 <= left < right <= 1
        assert 0 <= upper < lower <= 1
        sketch = shown["sketch"]
        assert max(sketch["width"], sketch["height"]) == 24
        assert len(base64.b64decode(sketch["values"])) == sketch["width"] * sketch["height"]
        assert shown["overlay"] == f"overlays/0.jpg.{shown['method']}.{shown['target_index']}.jpg"
        with Image.open(Path("camx-out") / shown["heatmap"]) as heatmap:
            assert heatmap.mode == "L"
    gradcam, cam = (np.load(Path("camx-out") / row["maps"][i]["array"]) for i in (0, 2))
    assert np.allclose(gradcam * gradcam.size, cam, atol=1e-4)
    assert "top2_prob" in table()[0]
    assert "top3_prob" not in table()[0]


def test_the_sketches_of_two_sided_maps_have_signs(camx: Camx) -> None:
    samples = Path(__file__).parents[1] / "sample_images"
    argv = ["explain", samples, "--model", "demo", "--device", "cpu", "--save", "heatmap", "--limit", 8]
    assert camx(*argv, "--evidence", "both") == 0
    sketches = [decoded(row["maps"][0]["sketch"]) for row in journal()]
    assert all(row["maps"][0]["sketch"]["signed"] is True for row in journal())
    assert min(cells.min() for cells in sketches) < -0.1
    assert max(cells.max() for cells in sketches) > 0.1
    for row, cells in zip(journal(), sketches, strict=True):
        with Image.open(Path("camx-out") / row["maps"][0]["heatmap"]) as heatmap:
            grey = np.asarray(heatmap.resize(cells.shape[::-1], Image.Resampling.BOX), float)
        assert np.abs((grey - 128) / 127 - cells).max() < 0.05, "128 is nothing in both"
    assert camx(*argv, "--overwrite") == 0
    assert not any("signed" in row["maps"][0]["sketch"] for row in journal())


def test_labels_and_accuracy(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = images.parent / "names.txt"
    names.write_text("\n".join(["cat", "dog", *map(str, range(2, 1000))]))
    argv = [images, *TINY, "--labels", "folder", "--class-names", names]
    assert camx("explain", *argv, "--target", "label", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    rows = table()
    assert [row["label"] for row in rows] == ["cat"] * 4 + ["dog"] * 3
    assert [row["target_name"] for row in rows] == [row["label"] for row in rows]
    assert summary["labelled"] == 7
    assert summary["accuracy"] == pytest.approx(sum(row["correct"] == "true" for row in rows) / 7, abs=1e-6)
    assert all((row["correct"] == "true") == (row["top1_name"] == row["label"]) for row in rows)


def test_a_new_label_is_noted_without_explaining_again(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("explain", images, *TINY) == 0
    labels = images.parent / "labels.csv"
    labels.write_text("image,label\n" + "".join(f"{row['image']},{row['top1_index']}\n" for row in table()))
    capsys.readouterr()
    assert camx("explain", images, *TINY, "--labels", labels, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["skipped"], summary["accuracy"]) == (7, 1.0)
    assert all(row["correct"] == "true" for row in table())


def test_unreadable_files_get_their_own_rows_and_code_1(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "cat" / "1.png").write_bytes(b"<!DOCTYPE html>")
    (images / "dog" / "5.png").write_bytes(b"")
    assert camx("explain", images, *TINY) == 1
    rows = {row["image"]: row for row in table()}
    assert len(rows) == 7
    assert rows["cat/1.png"]["status"] == rows["dog/5.png"]["status"] == "failed"
    assert "HTML page" in rows["cat/1.png"]["error"]
    assert rows["cat/1.png"]["overlay"] == ""
    assert sum(row["status"] == "ok" for row in rows.values()) == 5
    assert camx("explain", images, *TINY, "--max-failures", "2") == 0
    assert camx("explain", images, *TINY, "--max-failures", "20%") == 1
    assert camx("explain", images, *TINY, "--max-failures", "30%") == 0
    assert "2 failed" in capsys.readouterr().out


def test_fail_fast_stops(camx: Camx, images: Path) -> None:
    (images / "cat" / "0.jpg").write_bytes(b"")
    assert camx("explain", images, *TINY, "--fail-fast", "-b", 1, "-j", 1, "--max-failures", 5) == 1
    assert len(table()) < 7
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "stopped"


def test_a_dry_run_writes_nothing(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, *TINY, "--dry-run", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["images"], planned["layer"]) == (7, "layer4")
    assert camx("explain", images, *TINY, "-n") == 0
    assert "7 images would be explained" in capsys.readouterr().out
    assert not Path("camx-out").exists()


def test_quiet_is_quiet(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, *TINY, "-q") == 0
    assert capsys.readouterr() == ("", "")


WRONG = [
    (["explain", "IMAGES", "--model", "resnet5O"], "Unknown model 'resnet5O'. Did you mean"),
    (["explain", "IMAGES"], "Missing option"),
    (["explain", *TINY], "Missing argument"),
    (["explain", "nowhere", *TINY], "no file or folder 'nowhere'"),
    (["explain", "IMAGES", *TINY, "--layer", "layer5"], "no layer 'layer5'. Did you mean"),
    (["explain", "IMAGES", *TINY, "--method", "gradcm"], "--method 'gradcm' is unknown. Did you mean gradcam"),
    (["explain", "IMAGES", *TINY, "--target", "top:0"], "K in top:K"),
    (["explain", "IMAGES", *TINY, "--target", "tabby catt"], "no class 'tabby catt'. Did you mean"),
    (["explain", "IMAGES", *TINY, "--target", "label"], "--target label needs labels"),
    (["explain", "IMAGES", *TINY, "--labels", "none.csv"], "'none.csv' cannot be read"),
    (["explain", "IMAGES", *TINY, "--checkpoint", "none.pth"], "'none.pth' cannot be read"),
    (["explain", "IMAGES", *TINY, "--top-k", "0"], "--top-k"),
    (["explain", "IMAGES", *TINY, "--alpha", "2"], "--alpha 2"),
    (["explain", "IMAGES", *TINY, "--size", "big"], "--size 'big'"),
    (["explain", "IMAGES", *TINY, "--save", "gif"], "--save 'gif'"),
    (["explain", "IMAGES", *TINY, "--batch-size", "many"], "--batch-size 'many'"),
    (["explain", "IMAGES", *TINY, "--workers", "0"], "--workers 0 is out of range"),
    (["explain", "IMAGES", *TINY, "--max-failures", "lots"], "--max-failures 'lots'"),
    (["explain", "IMAGES", *TINY, "--device", "tpu0"], "device"),
    (["explain", "IMAGES", *TINY, "--device", "cuda:7"], "'cuda:7' does not exist"),
    (["explain", "IMAGES", *TINY, "--precision", "fp8"], "--precision 'fp8' is unknown"),
    (["explain", "IMAGES", *TINY, "--mean", "0.5,0.5"], "--mean has 2 values, but the network takes 3"),
    (["explain", "IMAGES", *TINY, "--model-arg", "pad_type"], "give KEY=VALUE"),
    (["explain", "IMAGES", *TINY, "-o", "/proc/nothing/out"], "cannot be written"),
    (["explain", "IMAGES", *TINY, "--interpolation", "foo"], "--interpolation 'foo'"),
    (["explain", "IMAGES", *TINY, "--std", "0"], "--std"),
    (["explain", "IMAGES", *TINY, "--mean", "nan"], "--mean"),
    (["explain", "IMAGES", *TINY, "--max-failures", "nan%"], "--max-failures 'nan%'"),
    (["explain", "IMAGES", *TINY, "--save", ""], "--save '': give at least one name"),
    (["explain", "IMAGES", *TINY, "--target=--5"], "no class '--5'"),
    (["explain", "IMAGES", *TINY, "--model-arg", "num_classes=0"], "no classifier"),
    (["explain", "IMAGES", "--model", "test_vit", "--no-pretrained", "--image-size", "100"], "100"),
    (["explain", "IMAGES", "--model", "torchvision/vit_b_32", "--no-pretrained", "--image-size", "100"], "100"),
    (["explain", "IMAGES", *TINY, "--colour"], "No such option"),
    (["explode"], "No such command 'explode'"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "message"), WRONG)
def test_a_users_mistake_is_one_sentence_and_code_2(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert camx(*[images if word == "IMAGES" else word for word in argv]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not Path("camx-out").exists()


def test_two_folders_with_equal_names_inside(camx: Camx, tmp_path: Path) -> None:
    for name in ("a/x.png", "b/x.png", "a/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture().save(tmp_path / name)
    assert camx("explain", "a", "b", *TINY) == 0
    assert [row["overlay"] for row in table()] == [
        "overlays/a/x.jpg.png",
        "overlays/a/x.png.png",
        "overlays/b/x.png.png",
    ]
    assert camx("explain", ".", *TINY, "-o", "camx-out") == 0
    assert len(table()) == 3, "the output inside the input is not an input"


def test_an_image_that_breaks_the_encoder_is_its_own_failure(camx: Camx, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture(16_500, 20).save(tmp_path / "in" / "wide.png")
    picture().save(tmp_path / "in" / "fine.png")
    assert camx("explain", "in", *TINY, "--size", "original", "--format", "webp") == 1
    assert [(row["image"], row["status"]) for row in table()] == [("fine.png", "ok"), ("wide.png", "failed")]
    assert "cannot be written" in table()[1]["error"]


def test_an_image_that_broke_loses_its_old_overlay(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY) == 0
    (images / "cat" / "0.jpg").write_bytes(b"garbage")
    assert camx("explain", images, *TINY) == 1
    assert not Path("camx-out/overlays/cat/0.jpg.png").exists()


def test_other_images_or_arguments_of_the_model_are_another_run(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("explain", images, *TINY) == 0
    shutil.copytree(images, "copy")
    assert camx("explain", "copy", *TINY) == 2
    assert "Differences: inputs" in capsys.readouterr().err
    assert camx("explain", images, *TINY, "--model-arg", "act_layer=gelu") == 2
    assert "model_args.act_layer" in capsys.readouterr().err
    assert camx("explain", images, *TINY, "-n", "--alpha", 0.1) == 2, "a dry run tells it too"
    assert camx("explain", images, *TINY, "--save", "heatmap,overlay", "-o", "two") == 0
    assert camx("explain", images, *TINY, "--save", "overlay,heatmap", "-o", "two") == 0


def test_cam_in_bf16(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, "--method", "cam", "--precision", "bf16") == 0
    assert {row["status"] for row in table()} == {"ok"}


def test_a_folder_in_a_list_is_a_row(camx: Camx, images: Path) -> None:
    (images / "list.txt").write_text("cat/0.jpg\ncat\nnone.jpg\n")
    assert camx("explain", f"@{images / 'list.txt'}", *TINY) == 1
    assert [(row["image"], row["error"]) for row in table()] == [
        ("cat/0.jpg", ""),
        ("cat", "not a regular file"),
        ("none.jpg", "No such file or directory"),
    ]


def test_a_label_of_a_list_is_kept_for_a_file_that_was_named_before(camx: Camx, images: Path) -> None:
    (images / "l.csv").write_text("image,label\ncat/0.jpg,7\n")
    assert camx("explain", images / "cat" / "0.jpg", f"@{images / 'l.csv'}", *TINY, "--target", "label") == 0
    assert [(row["label"], row["target_index"]) for row in table()] == [("7", "7")]
