"""Overlays drawn on the device: equal to those of the workers, and only in some runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cam_cli import Explainer, ExplainOptions, load_model
from cam_cli.cams.engine import device_overlays
from cam_cli.cams.engine.device_decoding import Decoded, JpegDecoder
from cam_cli.cams.engine.device_overlays import OverlayRenderer
from cam_cli.cams.engine.targets import Target
from cam_cli.images.geometry import Preprocessing
from cam_cli.images.listing import Source
from cam_cli.images.options import CropMode
from cam_cli.images.picture import Encoded, Fetched, Picture, load
from cam_cli.maps.colormaps import COLORMAPS, palette
from cam_cli.maps.explanation import ClassMap, Explanation, Prediction
from cam_cli.outputs.drawing import encode_thumbnail, overlay
from cam_cli.outputs.options import Rendering
from cam_cli.outputs.renderer import ExplanationRenderer
from cam_cli.outputs.rows import BLANK
from cam_cli.pipeline.lanes import Lanes, Share
from cam_cli.pipeline.memory import InFlightMemory

from .conftest import TINY, picture
from .test_decoding import SMALL, hollow, jpeg, large_photos, rows_of

CPU = torch.device("cpu")


def decoded(data: bytes, how: Preprocessing = SMALL, size: int = 96) -> tuple[Picture, Decoded]:
    """A file decoded on the device: with all pixels in main memory, and with none."""
    file = load(Fetched(Source("photo", ""), data), how, size, decoding="device")
    assert isinstance(file, Encoded)
    (whole,), (kept,) = (JpegDecoder(how, CPU)([file], keep_on_device=keep) for keep in (False, True))
    assert isinstance(whole, Decoded)
    assert isinstance(kept, Decoded)
    assert kept.picture.nbytes == 0
    assert kept.canvas is not None
    assert whole.canvas is None, "nothing stays there in vain"
    return whole.picture, kept


def random_map(seed: int, grid: tuple[int, int] = (7, 5), scale: float = 3.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.2, scale, grid).astype(np.float32)


def explained(shown: Picture, *maps: np.ndarray) -> Explanation:
    best = Prediction(0, "a", 0.5)
    return Explanation(shown, (best,), tuple(ClassMap("gradcam", "layer", best, values) for values in maps))


def renderer(rendering: Rendering = Rendering(), thumbnail: int = 0) -> OverlayRenderer:
    return OverlayRenderer(palette(rendering.colormap), rendering.alpha, thumbnail)


def check(drawn: Explanation, painted: Explanation, rendering: Rendering = Rendering()) -> None:
    """Overlays equal those of the workers, except near the middle of two levels, where the order of a sum decides: the
    neighbouring colour is allowed."""
    step = np.abs(np.diff(palette(rendering.colormap).astype(int), axis=0)).max()
    for number, shown in enumerate(painted.maps):
        assert shown.overlay is not None
        assert shown.overlay.dtype == np.uint8
        expected = np.asarray(overlay(drawn, number, rendering))
        assert shown.overlay.shape == expected.shape
        difference = np.abs(expected.astype(int) - shown.overlay).max(2)
        assert difference.max() <= 1 + rendering.alpha * step
        assert (difference > 0).sum() <= max(1, difference.size // 10_000)


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(400, 300), (300, 400), (401, 97), (21, 33), (90, 12)])
def test_overlays_are_those_of_a_worker(mode: CropMode, size: tuple[int, int]) -> None:
    """Two maps of an image, on grids of two sizes, in one call."""
    how = replace(SMALL, crop_mode=mode, input_size=(32, 24), resize=(40, 30))
    whole, kept = decoded(jpeg(picture(*size, seed=3)), how)
    maps = random_map(1), random_map(2, (3, 4), 1e-30)
    (painted,) = renderer()([explained(kept.picture, *maps)], [kept.canvas])
    check(explained(whole, *maps), painted)
    assert painted.picture == kept.picture


@pytest.mark.parametrize("orientation", range(1, 9))
def test_overlays_lie_where_the_image_does(orientation: int) -> None:
    whole, kept = decoded(jpeg(picture(301, 200, seed=4), orientation))
    (painted,) = renderer()([explained(kept.picture, random_map(orientation))], [kept.canvas])
    check(explained(whole, random_map(orientation)), painted)


@pytest.mark.parametrize("colormap", COLORMAPS)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 0.77, 1.0])
def test_colours_and_their_share_are_those_of_a_worker(colormap: str, alpha: float) -> None:
    whole, kept = decoded(jpeg(picture(400, 300, seed=5)), size=256)
    rendering = Rendering(colormap=colormap, alpha=alpha)
    (painted,) = renderer(rendering)([explained(kept.picture, random_map(6))], [kept.canvas])
    check(explained(whole, random_map(6)), painted, rendering)


def test_each_image_of_a_batch_has_its_own_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of equal and other sizes, with a problem, and in main memory; also if little is drawn at once."""
    sizes = ((300, 200), (200, 300), (300, 200), (600, 400), (300, 201))
    both = [decoded(jpeg(picture(*size, seed))) for seed, size in enumerate(sizes)]
    maps = [[random_map(10 * seed + number) for number in range(2)] for seed in range(len(both))]
    on_host = explained(both[0][0], random_map(50))
    failed = Explanation(both[1][1].picture, problem="no")
    explanations = [on_host, *(explained(kept.picture, *own) for (_, kept), own in zip(both, maps)), failed]
    canvases = [None, *(kept.canvas for _, kept in both), both[1][1].canvas]
    sizes_drawn: list[int] = []
    draw = OverlayRenderer._draw

    def counted(self: OverlayRenderer, pictures: torch.Tensor, *rest: Any) -> None:
        sizes_drawn.append(len(pictures))
        draw(self, pictures, *rest)

    monkeypatch.setattr(OverlayRenderer, "_draw", counted)
    for at_once in (device_overlays._AT_ONCE, 5 * 96 * 4, 1):
        monkeypatch.setattr(device_overlays, "_AT_ONCE", at_once)
        sizes_drawn.clear()
        first, *painted, last = renderer(thumbnail=20)(explanations, canvases)
        assert sum(sizes_drawn) == 10
        assert len(sizes_drawn) == 3, "one for each size and place"
        assert first == on_host
        assert last == failed
        for (whole, _), own, one in zip(both, maps, painted, strict=True):
            check(explained(whole, *own), one)


def test_a_map_with_nothing_to_show_gets_no_overlay() -> None:
    whole, kept = decoded(jpeg(picture(300, 200)))
    broken = random_map(1)
    broken[2, 3] = np.nan
    maps = [np.zeros((7, 7), np.float32), broken, -np.abs(random_map(2)), random_map(3)]
    results = ExplanationRenderer(Rendering(), 20)
    (painted,) = renderer(thumbnail=20)([explained(kept.picture, *maps)], [kept.canvas])
    assert [one.overlay is None for one in painted.maps] == [True, True, True, False]
    expected, found = results.render(explained(whole, *maps)), results.render(painted)
    bright, level = found.row.pop("brightness"), expected.row.pop("brightness")
    assert bright == pytest.approx(level, abs=0.002), "that of a thumbnail"
    assert found.row == expected.row
    assert found.row["status"] == BLANK
    assert list(found.files) == list(expected.files)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (401, 97), (15, 10), (400, 50)])
@pytest.mark.parametrize("side", [96, 40, 21, 10])
def test_a_thumbnail_is_a_smaller_canvas(size: tuple[int, int], side: int) -> None:
    """Equal to Pillow's of the canvas, except the rounding of a side."""
    whole, kept = decoded(jpeg(picture(*size, seed=7)))
    (painted,) = renderer(thumbnail=side)([explained(kept.picture, random_map(1))], [kept.canvas])
    small = Image.fromarray(whole.canvas)
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    height, width, channels = painted.picture.canvas.shape
    assert (max(width, height), channels) == (min(side, max(small.size)), 3)
    assert max(abs(width - small.width), abs(height - small.height)) <= 1
    expected = np.asarray(small.resize((width, height)), int)
    assert np.abs(expected - painted.picture.canvas).mean() < 6
    assert encode_thumbnail(painted.picture.image, side)


def test_several_threads_may_use_one_renderer() -> None:
    both = [decoded(jpeg(picture(300, 200, seed)), size=256) for seed in range(6)]
    explanations = [explained(kept.picture, random_map(seed)) for seed, (_, kept) in enumerate(both)]
    render = renderer(thumbnail=40)

    def work(numbers: Sequence[int]) -> list[Explanation]:
        return render([explanations[n] for n in numbers], [both[n][1].canvas for n in numbers])

    alone = [work([n])[0] for n in range(6)]
    with Lanes([work] * 3, 1, CPU) as lanes:
        futures = [(numbers, lanes.submit(numbers, list)) for numbers in ([0, 1, 2], [3, 4], [5, 0], [2, 1, 4]) * 5]
        for numbers, future in futures:
            for n, one in zip(numbers, future.result().result, strict=True):
                np.testing.assert_array_equal(one.maps[0].overlay, alone[n].maps[0].overlay)
                np.testing.assert_array_equal(one.picture.canvas, alone[n].picture.canvas)


def test_a_batch_whose_overlays_do_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = OverlayRenderer._draw

    def short(self: OverlayRenderer, pictures: torch.Tensor, *rest: Any) -> None:
        if len(pictures) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        draw(self, pictures, *rest)

    monkeypatch.setattr(OverlayRenderer, "_draw", short)
    explainer = Explainer(load_model("demo"), ExplainOptions(device="cpu"), overlays=renderer())
    how = explainer.network.preprocessing
    files: list[Any] = [
        load(Fetched(Source("photo", ""), jpeg(picture(300, 200, seed))), how, 96, decoding="device")
        for seed in range(3)
    ]
    most = 1
    for one in explainer.explain(files):
        assert one.maps[0].overlay is not None
    assert explainer._runner._largest_batch == 1
    most = 0
    for one in explainer.explain(files):
        assert one.problem == "not enough memory on cpu for one image"


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), int)


def in_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switches off drawing on the device."""
    monkeypatch.setattr("cam_cli.pipeline.explain.ExplainTask._device_overlays", lambda *_: None)
    monkeypatch.setattr(OverlayRenderer, "__call__", never)


def never(*_: object) -> None:
    raise AssertionError("drawn on the device")


ARGV = (*TINY, "--decode", "device", "-q", "--max-failures", 1, "--size", 200)


def mixed(folder: Path) -> Path:
    """Photos of several orientations, one of them broken, and an image that a worker decodes."""
    large_photos(folder, 5)
    (folder / "3.jpg").write_bytes(hollow((folder / "3.jpg").read_bytes()))
    picture(260, 150, 7).save(folder / "9.png")
    return folder


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--no-report",),
        ("--target", "top:2", "--method", "gradcam", "--method", "eigencam", "--save", "overlay,array"),
        ("--method", "dff", "--format", "jpg", "--colormap", "magma", "--alpha", 0.7),
    ],
)
def test_a_run_leaves_what_workers_would_have_left(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...]
) -> None:
    folder = mixed(tmp_path / "in")
    monkeypatch.setattr("cam_cli.pipeline.lanes.share", lambda *_, **__: Share(2, 1))
    painted: list[int] = []
    paint = OverlayRenderer.__call__

    def counted(
        self: OverlayRenderer, explanations: Sequence[Explanation], canvases: Sequence[Any]
    ) -> list[Explanation]:
        found = paint(self, explanations, canvases)
        painted.extend(sum(shown.overlay is not None for shown in one.maps) for one in found)
        return found

    monkeypatch.setattr(OverlayRenderer, "__call__", counted)
    assert camx("explain", folder, *ARGV, *options, "-b", 2, "-o", "device") == 0
    in_workers(monkeypatch)
    assert camx("explain", folder, *ARGV, *options, "-b", 2, "-o", "workers") == 0
    found, expected = rows_of("device"), rows_of("workers")
    bright, levels = (({name: row.pop("brightness", None) for name, row in rows.items()}) for rows in (found, expected))
    # Their bytes differ where a pixel differs, within the tolerance below.
    names, expected_names = (
        [sorted(row.pop("files", {})) for _, row in sorted(rows.items())] for rows in (found, expected)
    )
    assert names == expected_names
    assert found == expected
    # The device draws at most a thumbnail.
    known = {name: level for name, level in bright.items() if level is not None}
    assert known == pytest.approx({name: levels[name] for name in known}, abs=0.002)
    assert len(known) == (1 if "--no-report" in options else 5)
    assert [row["status"] for _, row in sorted(found.items())] == ["ok"] * 3 + ["failed"] + ["ok"] * 2
    maps = [shown for name, row in found.items() for shown in row.get("maps", ()) if name.endswith("jpg")]
    assert sum(painted) == len(maps), "all but those of the PNG"
    for row in found.values():
        for shown in row.get("maps", ()):
            one, other = (pixels(f"{out}/{shown['overlay']}") for out in ("device", "workers"))
            assert one.shape == other.shape
            assert np.abs(one - other).max() <= 2
        if row.get("thumb"):
            one, other = (pixels(f"{out}/{row['thumb']}") for out in ("device", "workers"))
            assert np.abs(one - other).mean() < 1
    assert ("thumb" in found["0.jpg"]) == ("--no-report" not in options)


@pytest.mark.parametrize(
    "options",
    [
        ("--save", "overlay,heatmap"),
        ("--save", "array"),
        ("--evidence", "both"),
        ("--method", "saliency"),
        ("--method", "gradcam", "--method", "guided-gradcam"),
        ("--multi-label", "--threshold", 0.9),
        ("--decode", "exact"),
        ("--decode", "draft"),
    ],
)
def test_all_else_is_drawn_by_workers(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...]
) -> None:
    monkeypatch.setattr(OverlayRenderer, "__call__", never)
    folder = mixed(tmp_path / "in")
    assert camx("explain", folder, *ARGV, *options) == 0
    for name, row in rows_of("camx-out").items():
        assert row["status"] == ("failed" if name == "3.jpg" else "ok")
        for shown in row.get("maps", ()):
            for kind in ("overlay", "heatmap"):
                if kind in shown:
                    assert max(pixels(f"camx-out/{shown[kind]}").shape) == 200


@pytest.mark.parametrize("report", ["--report", "--no-report"])
def test_pixels_come_from_the_device_once_per_batch(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str
) -> None:
    large_photos(tmp_path / "in", 5)
    moved: list[list[tuple[int, ...]]] = []
    on_host = device_overlays.on_host

    def counted(found: Sequence[torch.Tensor]) -> Any:
        if found:
            moved.append([tuple(one.shape) for one in found])
        return on_host(found)

    for module in ("device_decoding", "device_overlays"):
        monkeypatch.setattr(f"cam_cli.cams.engine.{module}.on_host", counted)
    monkeypatch.setattr("cam_cli.pipeline.explain.thumbnail_side", lambda images: 50)
    assert camx("explain", "in", *ARGV, report, "-b", 2) == 0
    assert sorted(map(len, moved)) == ([2, 4, 4] if report == "--report" else [1, 2, 2])
    sides = sorted(max(shape) for batch in moved for shape in batch)
    assert sides == ([50] * 5 if report == "--report" else []) + [200] * 5


def test_overlays_take_their_place_in_the_room(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three overlays and a thumbnail for each photo: their memory is reserved, and released in the end."""
    folder = large_photos(tmp_path / "in", 3)
    taken: list[int] = []
    take = InFlightMemory.take
    monkeypatch.setattr(InFlightMemory, "take", lambda self, size: (taken.append(size), take(self, size))[1])
    assert camx("explain", folder, *ARGV, "--target", "top:3", "-b", 2) == 0
    canvas, values = 3 * 200 * 160, 3 * 160 * 160
    assert sorted(size for size in taken if size > 0) == sorted(
        path.stat().st_size + values + 4 * canvas for path in folder.iterdir()
    )
    assert sum(taken) == 0


def test_as_many_maps_as_are_expected() -> None:
    network = load_model("demo")

    def most(**options: Any) -> tuple[int | None, int]:
        explainer = Explainer(network, ExplainOptions(device="cpu", **options))
        (found,) = explainer([picture(200, 150)])
        return explainer.most_maps, len(found.maps)

    assert most() == (1, 1)
    assert most(targets=(Target("top", 3), Target("class", name="0"))) in ((4, 4), (4, 3))
    assert most(targets=(Target("top", 99),)) == (12, 12)
    assert most(targets=(Target("top", 2),), methods=("gradcam", "eigencam", "dff")) == (7, 7)
    assert most(multi_label=True)[0] is None
