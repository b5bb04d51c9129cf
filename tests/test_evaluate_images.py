"""`camx evaluate` of images: the run, its files, figures, gates, page and errors."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cam_cli.errors import CamxError
from cam_cli.evaluation.faithful_columns import faithful_columns
from cam_cli.evaluation.faithful_figures import FaithfulFigures, FaithfulGate
from cam_cli.evaluation.faithful_files import faithfulness
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.report import build_report
from cam_cli.tracking.publish import push
from cam_cli.tracking.tracker import Chart, Files, ImageCell, RunInfo, Step, Table, Value

from .conftest import TINY, picture
from .journals import failed_row, run_of

Camx = Callable[..., int]
QUICK = (*TINY, "--methods", "gradcam,eigencam", "--metrics", "deletion,sanity", "--steps", "2", "-b", "4")


def table(folder: str = "camx-evaluate") -> list[dict[str, str]]:
    return list(csv.DictReader(Path(folder, "faithfulness.csv").read_text("utf-8").splitlines()))


class TestRun:
    def test_a_run_leaves_scores_of_methods_and_baselines(
        self, camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (images / "broken.jpg").write_bytes(b"nothing")
        assert camx("evaluate", images, *QUICK, "--labels", "folder", "--max-failures", "1") == 0
        told = capsys.readouterr()
        assert "each image takes 5 forwards and 6 explanations by 2 methods: about" in told.err
        assert "7 of 8 images evaluated, 1 failed, 0 blank" in told.out
        assert "eigencam, " in told.out
        rows = table()
        assert [row["method"] for row in rows if row["image"] == "cat/0.jpg"] == [
            "gradcam",
            "eigencam",
            "random",
            "centre",
        ]
        assert [row["status"] for row in rows if row["image"] == "broken.jpg"] == ["failed"]
        summary = json.loads(Path("camx-evaluate/evaluate/summary.json").read_text())
        assert summary["images"] == 7
        assert summary["left_out"] == {"failed images": 1}
        figures = {one["method"]: one for one in summary["methods"]}
        assert figures["eigencam"]["scores"]["sanity_head"]["value"] == pytest.approx(1)
        assert "hardly changes with another classifier (rank correlation +1.00)" in figures["eigencam"]["flags"]
        mean = np.mean([float(row["deletion"]) for row in rows if row["method"] == "gradcam"])
        assert figures["gradcam"]["scores"]["deletion"]["value"] == pytest.approx(mean, rel=1e-4)
        assert len(summary["curves"]["gradcam"]["deletion"]) == 3

    def test_it_goes_on_where_it_was_and_refuses_another_question(
        self, camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert camx("evaluate", images, *QUICK, "--limit", "3", "-q") == 0
        before = table()
        assert camx("evaluate", images, *QUICK) == 0
        assert "7 images, 3 of them done already" in capsys.readouterr().err
        assert table()[: len(before)] == before
        assert camx("evaluate", images, *QUICK, "--draws", "3") == 2
        assert "Differences: draws" in capsys.readouterr().err

    @pytest.mark.parametrize("way", ["shards", pytest.param("devices", marks=pytest.mark.slow)])
    def test_parts_are_the_run_as_a_whole(self, camx: Camx, images: Path, way: str) -> None:
        assert camx("evaluate", images, *QUICK, "-q", "-o", "whole") == 0
        if way == "shards":
            for shard in ("2/2", "1/2"):
                assert camx("evaluate", images, *QUICK, "-q", "-o", "parts", "--shard", shard) == 0
        else:
            assert camx("evaluate", images, *QUICK, "-q", "-o", "parts", "--device", "cpu,cpu") == 0
        assert Path("parts/faithfulness.csv").read_bytes() == Path("whole/faithfulness.csv").read_bytes()
        summaries = [json.loads(Path(folder, "evaluate/summary.json").read_text()) for folder in ("whole", "parts")]
        assert summaries[0]["methods"] == summaries[1]["methods"]

    @pytest.mark.extras
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
    def test_a_cluster_gives_the_scores_of_one_machine(self, camx: Camx, images: Path) -> None:
        pytest.importorskip("ray")
        (images / "broken.jpg").write_bytes(b"nothing")
        words = ("evaluate", images, *QUICK, "-b", "1", "-q", "--max-failures", "1")
        assert camx(*words, "-o", "one") == 0
        assert camx(*words, "-o", "ray", "--engine", "ray") == 0
        assert Path("ray/faithfulness.csv").read_bytes() == Path("one/faithfulness.csv").read_bytes()
        summaries = [json.loads(Path(folder, "evaluate/summary.json").read_text()) for folder in ("one", "ray")]
        for key in ("methods", "curves", "left_out"):
            assert summaries[0][key] == summaries[1][key]
        files = [{str(path.relative_to(name)) for path in Path(name).rglob("*")} for name in ("one", "ray")]
        assert files[0] == files[1]

    def test_a_dry_run_prints_the_cost_and_writes_nothing(
        self, camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert camx("evaluate", images, *QUICK, "-n") == 0
        assert "each image takes 5 forwards and 6 explanations" in capsys.readouterr().out
        assert not Path("camx-evaluate").exists()

    def test_json_is_one_object_with_the_figures(
        self, camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert camx("evaluate", images, *QUICK, "--limit", "2", "--json", "--no-report") == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["ok"] == 2
        assert printed["evaluation"] == json.loads(Path("camx-evaluate/evaluate/summary.json").read_text())
        assert not Path("camx-evaluate/evaluate/index.html").exists()

    def test_a_gate_that_fails_for_sure_ends_with_1(
        self, camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        gates = ("--fail-if", "sanity_head > 0.9", "--junit", "gates.xml")
        assert camx("evaluate", images, *QUICK, *gates) == 1
        assert "FAIL sanity_head > 0.9: eigencam: sanity_head" in capsys.readouterr().out
        assert "<failure" in Path("gates.xml").read_text()


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((), "--truth (scores against boxes or masks)"),
            ((*TINY, "--truth", "t.json"), "needs either a run and its truth, or images and a model"),
            ((*TINY, "--calibrate", "0.3"), "--calibrate has no effect here: it needs --truth"),
            (("--truth", "t.json", "--steps", "3"), "--steps has no effect here: it needs --model"),
            (("--truth", "t.json", "--wandb", "-o", "there"), "from the folder of the run"),
            ((*TINY, "--methods", "gradcam,dff"), "concepts"),
            ((*TINY, "--metrics", "deltion"), "deletion"),
            ((*TINY, "--fail-if", "insertoin < 0.3"), "Did you mean insertion"),
            ((*TINY, "--fail-if", "road < 0.3"), "no metric 'road'"),
            ((*TINY, "--fail-if", "deletion > 0.3 by class"), "measured over all images, not by groups"),
            ((*TINY, "--target", "label"), "needs labels"),
            ((*TINY, "--target", "top:3"), "one map per method"),
        ],
    )
    def test_impossible_combinations_are_errors(
        self, camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
    ) -> None:
        assert camx("evaluate", images, *words) == 2
        assert message in " ".join(capsys.readouterr().err.split())
        assert not Path("camx-evaluate").exists()

    def test_a_folder_of_another_command_has_no_figures(self, tmp_path: Path) -> None:
        with pytest.raises(CamxError, match="camx explain"):
            faithfulness(str(run_of(tmp_path / "run", [])))


def measured(image: str, **scores: tuple[float, float, float, float]) -> dict[str, Any]:
    """A row of two methods and the baselines, with a score of each in that order."""
    methods = ("first", "second", "random", "centre")
    maps = [
        {"method": name, "layer": "x" if place < 2 else "", "target_index": 0, "target_name": "cat", "target_prob": 0.9,
         "grid": [2, 2], "scores": {score: values[place] for score, values in scores.items()}}
        for place, name in enumerate(methods)
    ]  # fmt: skip
    return {
        "image": image,
        "index": 0,
        "status": "ok",
        "error": "",
        "label": "",
        "width": 20,
        "height": 10,
        "maps": maps,
    }


class TestFigures:
    def test_methods_are_ranked_by_the_mean_of_their_places(self) -> None:
        """The second one is better in deletion, and worse in insertion by more images than by chance."""
        rows = [measured(f"{i}", deletion=(0.3, 0.2, 0.5, 0.4), insertion=(0.6, 0.5, 0.3, 0.4)) for i in range(9)]
        rows += [measured("x", deletion=(0.3, 0.2, 0.5, 0.4), insertion=(0.6, 0.7, 0.3, 0.4))]
        figures = FaithfulFigures(faithful_columns(rows, ["deletion", "insertion"]))
        assert [(one.name, one.place) for one in figures.methods] == [("first", 1.5), ("second", 1.5)]
        second = figures.methods[1].figures
        assert second["insertion"].own.value == pytest.approx(0.52)
        assert second["insertion"].behind is not None
        assert second["insertion"].behind.value == pytest.approx(0.08)
        assert second["deletion"].behind is None
        assert second["deletion"].gain.value == pytest.approx(0.3)
        assert (second["deletion"].random, second["deletion"].centre) == (0.5, 0.4)

    def test_a_gate_reads_the_gain_over_chance_and_warns_where_the_interval_is_wide(self) -> None:
        rows = [measured(f"{i}", deletion=(0.2 + 0.3 * (i % 2), 0.1, 0.5, 0.4)) for i in range(8)]
        figures = FaithfulFigures(faithful_columns(rows, ["deletion"]))
        gate = FaithfulGate.parse("deletion_gain < 0.2", ["deletion"])
        assert [(one.sentence.split(":")[0], one.verdict) for one in gate.judged(figures, 0.95)] == [
            ("second", "pass"),
            ("first", "warn"),
        ]

    def test_a_gate_on_a_run_without_any_map_is_not_gone(self) -> None:
        figures = FaithfulFigures(faithful_columns([failed_row("c")], ["deletion"]))
        (found,) = FaithfulGate.parse("deletion > 0.3", ["deletion"]).judged(figures, 0.95)
        assert (found.verdict, found.sentence) == ("warn", "there are no such images, so the value is unknown")

    def test_rows_without_a_map_and_blank_maps_are_counted(self, tmp_path: Path) -> None:
        rows = [
            measured("a", deletion=(0.3, 0.2, 0.5, 0.4)),
            measured("b", deletion=(0.3, 0.2, 0.5, 0.4)),
            failed_row("c"),
        ]
        del rows[1]["maps"][0]["scores"]
        columns = faithful_columns(rows, ["deletion"])
        assert (columns.images, columns.failed, columns.blank) == (("a", "b"), 1, {"first": 1})
        assert np.isnan(columns.scores["first"]["deletion"][1])
        assert FaithfulFigures(columns).methods[1].figures["deletion"].own.n == 1


class TestPage:
    def test_the_page_shows_figures_curves_and_the_worst_images(self, camx: Camx, images: Path) -> None:
        picture(seed=9).save(images / "<b>&.png")
        assert camx("evaluate", images, *QUICK, "-q") == 0
        page = Path("camx-evaluate/evaluate/index.html").read_text()
        assert page.count("<polyline") >= 3 * 2
        assert "hardly changes with another classifier" in page
        assert "<b>&.png" not in page
        assert "&lt;b&gt;&amp;.png" in page
        assert page.count("data:image/jpeg;base64") == 2 * 8
        assert "<script" not in page
        assert "solid: gradcam, dashed: random, dotted: centre" in page
        Path("camx-evaluate/evaluate/index.html").unlink()
        assert build_report("camx-evaluate") == "camx-evaluate/evaluate/index.html"
        assert Path("camx-evaluate/evaluate/index.html").exists()


class TestTracking:
    def test_a_tracker_gets_maps_scores_curves_and_files(self, camx: Camx, images: Path) -> None:
        assert camx("evaluate", images, *QUICK, "-q", "--limit", "3", "--fail-if", "deletion > 2") == 0
        tracker = Collected()
        push(RunFolder.read("camx-evaluate"), tracker, 10, lambda word: None)
        table, curve, methods = (
            tracker.values[name] for name in ("explanations", "evaluate/gradcam/deletion", "evaluate/methods")
        )
        assert isinstance(table, Table)
        assert isinstance(curve, Chart)
        assert isinstance(methods, Table)
        cell = table.rows[0][0]
        assert isinstance(cell, ImageCell)
        assert {*cell.masks} == {"gradcam", "eigencam"}
        figures = json.loads(Path("camx-evaluate/evaluate/summary.json").read_text())["curves"]
        assert [*curve.lines] == ["gradcam", "random", "centre"]
        assert curve.lines["random"] == ([0, 0.5, 1], figures["random"]["deletion"])
        assert {*tracker.values} >= {"evaluate/eigencam/deletion", "evaluate/eigencam/sanity"}
        assert {row[0] for row in methods.rows} == {"gradcam", "eigencam"}
        assert tracker.summary["evaluate/eigencam/sanity_head"] == pytest.approx(1)
        files = tracker.values["results"]
        assert isinstance(files, Files)
        assert {"faithfulness.csv", "evaluate/summary.json", "evaluate/index.html"} <= {*files.paths}


class Collected:
    """A tracker that stores its input."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.summary: dict[str, Any] = {}

    def begin(self, info: RunInfo) -> None: ...

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        self.values.update(values)

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        self.summary.update(summary)
