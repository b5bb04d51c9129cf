"""An export finds regions, boxes, points and thresholds in a map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cam_cli.errors import CamxError
from cam_cli.evaluation.localise import localise
from cam_cli.evaluation.options import LocaliseOptions
from cam_cli.export.findings import findings
from cam_cli.export.options import ExportOptions
from cam_cli.maps.thresholds import otsu

from .export_support import HALF, SIZE, out  # noqa: F401 - fixtures are found by their names
from .journals import hill, map_of, row_of, run_of


class TestFindings:
    def found(self, out: Path, **options: Any) -> dict[str, list[Any]]:
        options = {"threshold": "0.5", **options}
        return {one.image: list(one.found) for one in findings(str(out), ExportOptions(**options), "9.9").images()}

    def test_a_hill_is_found_where_it_is(self, out: Path) -> None:
        """To within a third of a cell of the sketch, which is 8.3 pixels wide and high."""
        (one,) = self.found(out)["a.jpg"]
        # 0.1 of the side across and down: 20 and 10 pixels.
        expected = (60 - HALF * 20, 50 - HALF * 10, 60 + HALF * 20, 50 + HALF * 10)
        assert one.box == pytest.approx(expected, abs=2.8)
        assert one.point == pytest.approx((60, 50), abs=2.8)
        assert one.area == pytest.approx(np.pi * HALF**2 * 200, rel=0.1)
        assert (one.name, one.probability, one.threshold) == ("cat", 0.75, 0.5)

    def test_the_largest_part_or_all(self, out: Path) -> None:
        assert len(self.found(out)["a.jpg"]) == 1
        first, second = self.found(out, parts="all")["a.jpg"]
        assert first.area > second.area
        assert second.point == pytest.approx((160, 50), abs=2.8)
        assert len(self.found(out, parts="all", min_area="3%")["a.jpg"]) == 1
        assert self.found(out, min_area="50%")["a.jpg"] == []

    def test_failed_images_are_left_out_and_blank_ones_hold_nothing(self, out: Path) -> None:
        found = self.found(out)
        assert list(found) == ["a.jpg", "b c/ü.png", "blank.jpg"]
        assert found["blank.jpg"] == []
        assert [one.name for one in found["b c/ü.png"]] == ["dog", "pot, flowerpot"]
        assert self.found(out, min_prob=0.8)["a.jpg"] == []

    def test_a_map_at_the_edge_ends_with_the_image(self, tmp_path: Path) -> None:
        folder = run_of(tmp_path / "edge", [row_of("a.jpg", [map_of(hill(0.0, 1.0, 0.2), 0, SIZE)])])
        (one,) = self.found(folder)["a.jpg"]
        left, top, right, bottom = one.box
        assert (left, bottom) == (0, 100)
        assert 0 < right < 60
        assert 60 < top < 100

    def test_images_larger_and_smaller_than_the_raster(self, tmp_path: Path) -> None:
        for size in ((4000, 2000), (40, 20)):
            folder = run_of(tmp_path / str(size), [row_of("a.jpg", [map_of(hill(0.3, 0.5), 0, size)], size)])
            (one,) = self.found(folder)["a.jpg"]
            scale = size[0] / 200
            expected = np.array([60 - HALF * 20, 50 - HALF * 10, 60 + HALF * 20, 50 + HALF * 10]) * scale
            assert np.abs(np.array(one.box) - expected).max() < 2.8 * scale + 0.5

    def test_a_hole_is_not_part_of_the_mask(self, tmp_path: Path) -> None:
        ring = hill(0.5, 0.5, 0.25) - hill(0.5, 0.5, 0.1)
        folder = run_of(tmp_path / "ring", [row_of("a.jpg", [map_of(np.maximum(ring, 0), 0, SIZE)])])
        (one,) = self.found(folder)["a.jpg"]
        mask = one.mask(*SIZE)
        assert not mask[50, 100]
        assert mask.sum() == pytest.approx(one.area, rel=0.02)

    def test_several_methods_need_a_choice(self, tmp_path: Path) -> None:
        folder = run_of(
            tmp_path / "two",
            [row_of("a.jpg", [map_of(hill(0.2, 0.5), 0, SIZE, "one"), map_of(hill(0.8, 0.5), 0, SIZE, "two")])],
        )
        with pytest.raises(CamxError, match=r"maps of one, two\. Choose one with `method`"):
            self.found(folder)
        (found,) = self.found(folder, method="two")["a.jpg"]
        assert found.point[0] > 100
        with pytest.raises(CamxError, match="Did you mean two"):
            self.found(folder, method="twoo")

    def test_an_outline_is_simple_and_nearly_the_same(self, out: Path) -> None:
        (one,) = self.found(out)["a.jpg"]
        assert len(one.polygon) < 80 < len(one.outline)
        mask = one.mask(*SIZE)
        y, x = np.mgrid[:100, :200] + 0.5
        ellipse = ((x - 60) / (HALF * 20)) ** 2 + ((y - 50) / (HALF * 10)) ** 2 <= 1
        assert (mask & ellipse).sum() / (mask | ellipse).sum() > 0.9


class TestThreshold:
    def test_otsu_parts_two_levels(self) -> None:
        heat = np.array([[0.1] * 5 + [0.9] * 3])
        assert otsu(heat) == pytest.approx(0.5, abs=0.01)
        assert otsu(np.full((2, 2), 0.8)) == 0.4

    @pytest.mark.extras
    @pytest.mark.parametrize("seed", range(5))
    def test_otsu_is_the_one_of_opencv(self, seed: int) -> None:
        cv2 = pytest.importorskip("cv2")
        rng = np.random.default_rng(seed)
        grey = np.clip(rng.normal(80, 20, 3000).tolist() + rng.normal(170, 25, 2000).tolist(), 0, 255).astype(np.uint8)
        theirs, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)
        # In OpenCV the level t belongs to the lower part; a bin of 256 here is a level.
        assert otsu((grey + 0.5) / 256) * 256 == pytest.approx(theirs + 1, abs=1)

    def test_auto_is_what_evaluate_has_found_for_this_run(self, out: Path, tmp_path: Path) -> None:
        from cam_cli.evaluation.files import write_files

        truth = tmp_path / "t.csv"
        truth.write_text("image,label,x0,y0,x1,y1\na.jpg,cat,40,40,80,60\n")
        assert findings(str(out), ExportOptions(), "9").threshold.value is None
        write_files(localise(str(out), LocaliseOptions(truth=str(truth), threshold="0.37")), str(out / "evaluate"))
        found = findings(str(out), ExportOptions(), "9").threshold
        assert (found.value, found.origin) == (0.37, "`camx evaluate`, given")
        summary = json.loads((out / "evaluate" / "summary.json").read_text())
        summary["run"]["fingerprint"]["model"] = "another"
        (out / "evaluate" / "summary.json").write_text(json.dumps(summary))
        assert findings(str(out), ExportOptions(), "9").threshold.value is None
        (out / "evaluate" / "summary.json").write_text("[]")
        assert findings(str(out), ExportOptions(), "9").threshold.value is None

    def test_otsu_gives_each_map_its_own(self, out: Path) -> None:
        found = [
            one for image in findings(str(out), ExportOptions(threshold="otsu"), "9").images() for one in image.found
        ]
        assert len({one.threshold for one in found}) > 1
        assert all(0.1 < one.threshold < 0.7 for one in found)
