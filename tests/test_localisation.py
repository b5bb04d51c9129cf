"""Scores of maps against truth, compared with slow definitions and with the original benchmarks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cam_cli.evaluation.boxes import IOUS, THRESHOLDS, box_curves, ious
from cam_cli.evaluation.metrics import METRICS, average_precision, histograms, peak_of, points_at
from cam_cli.evaluation.raster import TruthRaster, centre_map, truth_raster
from cam_cli.evaluation.scores import Columns, held_apart
from cam_cli.evaluation.whole_set import SET_SCORES, set_estimates
from cam_cli.images.annotations.shapes import Bitmap, Box
from cam_cli.images.annotations.truth import TruthObject
from cam_cli.images.geometry import Frame
from cam_cli.maps.components import components
from cam_cli.maps.heatmap import placed


def smooth(seed: int, width: int = 56, height: int = 48) -> np.ndarray:
    """A map with a few hills and the peak 1."""
    rng = np.random.default_rng(seed)
    heat = placed(rng.random((6, 7)).astype(np.float32) ** 3, Frame(0, 0, width, height), width, height)
    return heat / heat.max()


def truth(mask: np.ndarray, ignored: np.ndarray | None = None) -> TruthRaster:
    """The truth of a mask on a raster of its pixels."""
    nothing = np.zeros(mask.shape, np.float32)
    boxes = np.array([Bitmap(mask).bounds()], float)
    return TruthRaster(mask.astype(np.float32), nothing if ignored is None else ignored.astype(np.float32), boxes, True)


def blob(seed: int, width: int = 56, height: int = 48) -> np.ndarray:
    rng = np.random.default_rng(1000 + seed)
    y, x = np.mgrid[:height, :width]
    cx, cy, rx, ry = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height, *rng.uniform(4, 14, 2)
    return ((x + 0.5 - cx) / rx) ** 2 + ((y + 0.5 - cy) / ry) ** 2 <= 1


SEEDS = range(25)


class TestPointing:
    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("tolerance", [1, 4, 15])
    def test_it_is_that_of_torchray(self, seed: int, tolerance: int) -> None:
        """There: a disc of less than `tolerance` pixels around the pixel of the peak meets the mask.

        Here the peak is the middle of its pixel, and so are the cells of the mask: the same distances. Differences: the
        tolerance there is 15 pixels of whatever size the picture has, here 3 % of its long side; where all objects of a
        class are `difficult` there the image is skipped, and else they count as truth, here they are ignored.
        """
        heat, mask = smooth(seed), blob(seed)
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        v, u = np.mgrid[: heat.shape[0], : heat.shape[1]]
        accepted = (v - row) ** 2 + (u - column) ** 2 < tolerance**2
        assert points_at(*peak_of(heat), truth(mask), tolerance) == float((accepted & mask).any())

    def test_the_tolerance_is_measured_between_the_middles_of_cells(self) -> None:
        heat, mask = np.zeros((5, 9), np.float32), np.zeros((5, 9), bool)
        heat[2, 2] = mask[2, 5] = mask[0, 8] = 1
        assert points_at(*peak_of(heat), truth(mask), 3.0) == 0
        assert points_at(*peak_of(heat), truth(mask), 3.01) == 1

    @pytest.mark.parametrize(
        ("x", "y", "expected"),
        [(2.0, 2.0, 1), (5.0, 5.0, 1), (5.9, 3.0, 1), (6.1, 3.0, 0), (5.8, 5.8, 0), (1.0, 3.0, 0)],
    )
    def test_a_box_has_round_corners_with_a_tolerance(self, x: float, y: float, expected: int) -> None:
        found = TruthRaster(
            np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32), np.array([[2.0, 2, 5, 5]]), False
        )
        assert points_at(x, y, found, 1.0) == expected
        assert points_at(x, y, found, 0.0) == (2 <= x <= 5 and 2 <= y <= 5)

    def test_equal_peaks_point_at_their_middle(self) -> None:
        heat = np.zeros((3, 5), np.float32)
        heat[1, [1, 3]] = 1
        assert peak_of(heat) == (2.5, 1.5)

    def test_a_peak_in_an_ignored_area_does_not_count(self) -> None:
        mask, void = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
        mask[0, 0] = void[3, 3] = True
        heat = np.zeros((4, 4), np.float32)
        heat[3, 3] = 1
        assert math.isnan(METRICS["pointing"].score(heat, truth(mask, void)))
        assert METRICS["pointing"].score(heat, truth(mask)) == 0


class TestEnergy:
    def test_by_hand(self) -> None:
        heat = np.array([[1.0, 0.5], [0.25, 0.25]], np.float32)
        mask = np.array([[1, 0], [1, 0]], bool)
        assert METRICS["energy"].score(heat, truth(mask)) == pytest.approx(1.25 / 2)
        assert METRICS["area_truth"].score(heat, truth(mask)) == 0.5
        # Ignored pixels count on neither side, unless they also belong to the class.
        void = np.array([[1, 1], [0, 0]], bool)
        assert METRICS["energy"].score(heat, truth(mask, void)) == pytest.approx(1.25 / 1.5)

    def test_the_energy_of_an_even_map_is_the_area(self) -> None:
        mask = blob(3)
        assert METRICS["energy"].score(np.ones(mask.shape, np.float32), truth(mask)) == pytest.approx(mask.mean())

    def test_a_box_between_pixels_counts_their_shares(self) -> None:
        found = truth_raster([TruthObject("a", Box(0, 0, 1.5, 2))], [], (4, 2))
        assert METRICS["area_truth"].score(np.ones((2, 4), np.float32), found) == pytest.approx(3 / 8)


class TestPixelPrecision:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_it_is_the_area_under_precision_and_recall(self, seed: int) -> None:
        """Over the values that a map takes, as wsolevaluation has it with its thresholds."""
        heat, mask = np.floor(smooth(seed) * 16) / 16, blob(seed)
        heat = np.maximum(heat, 1 / 128)
        area, before = 0.0, 0.0
        for threshold in np.unique(heat)[::-1]:
            above = heat >= threshold
            recall, precision = (above & mask).sum() / mask.sum(), (above & mask).sum() / above.sum()
            area += (recall - before) * precision
            before = recall
        assert METRICS["pxap"].score(heat, truth(mask)) == pytest.approx(area, abs=1e-6)

    def test_wsolevaluation_bins_the_same_way(self) -> None:
        """There every bin is one step of recall times the precision down to it, over the pixels of all pictures.

        Difference: pictures there are all resized to 224×224, here each counts the same whatever its raster.
        """
        maps, masks = [smooth(seed) for seed in SEEDS], [blob(seed) for seed in SEEDS]
        edges = [*(np.arange(128) / 128), 1.0, 2.0, 3.0]
        true = sum(np.histogram(heat[mask], edges)[0].astype(float) for heat, mask in zip(maps, masks))
        false = sum(np.histogram(heat[~mask], edges)[0].astype(float) for heat, mask in zip(maps, masks))
        tp, fp = true[::-1].cumsum(), false[::-1].cumsum()
        with np.errstate(invalid="ignore"):
            precision = tp / (tp + fp)
        steps = np.diff(tp / tp[-1])
        theirs = (precision[1:] * steps)[(tp + fp)[1:] != 0].sum()
        columns = Columns({}, *np.zeros((2, 1, 1)), np.stack([histograms(h, truth(m)) for h, m in zip(maps, masks)]))
        # In wsolevaluation the peak of every map has its own bin.
        assert SET_SCORES["pxap_pooled"].of(columns) == pytest.approx(theirs, abs=2e-3)

    def test_a_perfect_map_and_a_useless_one(self) -> None:
        mask = blob(1)
        assert METRICS["pxap"].score(np.where(mask, 1.0, 0.1), truth(mask)) == pytest.approx(1)
        assert METRICS["pxap"].score(np.ones(mask.shape), truth(mask)) == pytest.approx(mask.mean())
        assert np.isnan(average_precision(np.zeros((2, 4))))


class TestBoxes:
    def test_iou_by_hand(self) -> None:
        a = np.array([[0, 0, 2, 2], [5, 5, 6, 6]], float)
        b = np.array([[1, 0, 3, 2], [0, 0, 2, 2], [3, 3, 3, 3]], float)
        assert ious(a, b) == pytest.approx(np.array([[1 / 3, 1, 0], [0, 0, 0]]))

    @pytest.mark.extras
    @pytest.mark.parametrize("seed", SEEDS)
    def test_the_best_component_is_that_of_opencv(self, seed: int) -> None:
        """On 8 bits as in wsolevaluation, with outer contours and boxes that end at the last pixel."""
        cv2 = pytest.importorskip("cv2")
        grey, box = (smooth(seed) * 255).astype(np.uint8), np.array([Bitmap(blob(seed)).bounds()])
        levels = [int(tau * grey.max()) for tau in THRESHOLDS]
        best, largest = [], []
        for level in levels:
            binary = cv2.threshold(grey, level, 255, cv2.THRESH_BINARY)[1]
            contours = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
            boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in map(cv2.boundingRect, contours)], float).reshape(
                -1, 4
            )
            best.append(ious(boxes, box).max(initial=0))
            filled = [
                cv2.drawContours(np.zeros_like(grey), contours, i, 1, -1) & (binary > 0) for i in range(len(contours))
            ]
            sizes = [int(part.sum()) for part in filled]
            largest.append(
                {float(ious(boxes[i : i + 1], box)[0, 0]) for i, size in enumerate(sizes) if size == max(sizes)}
            )
        ours = box_curves(components(grey, np.array(levels)), box, len(levels))
        assert ours.best == pytest.approx(np.array(best), abs=1e-6)
        assert all(
            not some or min(abs(value - one) for one in some) < 1e-6 for value, some in zip(ours.largest, largest)
        )

    @pytest.mark.extras
    def test_how_far_wsolevaluations_own_boxes_are_off(self) -> None:
        """wsolevaluation also draws boxes around contours of holes, and its boxes are one pixel too wide: x + w counts
        as the last pixel. On 25 maps of 56×48 pixels the IoU differs by less than 0.04 on average, on rasters of 224 by
        a quarter of that."""
        cv2 = pytest.importorskip("cv2")
        differences = []
        for seed in SEEDS:
            grey, box = (smooth(seed) * 255).astype(np.uint8), Bitmap(blob(seed)).bounds()
            # Inclusive edges, and the stated size.
            x0, y0, x1, y1 = box.left, box.top, box.right - 1, box.bottom - 1
            ours = box_curves(components(grey, (THRESHOLDS * grey.max()).astype(int)), np.array([box]), len(THRESHOLDS))
            for place, tau in enumerate(THRESHOLDS):
                binary = cv2.threshold(grey, int(tau * grey.max()), 255, cv2.THRESH_BINARY)[1]
                theirs = 0.0
                for contour in cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]:
                    x, y, w, h = cv2.boundingRect(contour)
                    right, bottom = min(x + w, grey.shape[1] - 1), min(y + h, grey.shape[0] - 1)
                    both = max(0, min(right, x1) - max(x, x0) + 1) * max(0, min(bottom, y1) - max(y, y0) + 1)
                    area = (right - x + 1) * (bottom - y + 1) + (x1 - x0 + 1) * (y1 - y0 + 1) - both
                    theirs = max(theirs, both / area)
                differences.append(abs(theirs - ours.best[place]))
        assert 0 < np.mean(differences) < 0.04

    def test_max_box_acc_is_the_mean_over_three_ious_of_the_best_threshold(self) -> None:
        rng = np.random.default_rng(0)
        best = rng.random((40, 9)).astype(np.float32)
        slow = np.mean([max(np.mean(best[:, t] >= iou) for t in range(9)) for iou in IOUS])
        columns = Columns({}, best, best, np.zeros((40, 2, 1)))
        assert SET_SCORES["max_box_acc_v2"].of(columns) == pytest.approx(slow)

    def test_an_interval_draws_the_cases_of_an_image_together(self) -> None:
        """Fifty images of four equal cases are fifty observations, not two hundred."""
        rng = np.random.default_rng(1)
        hits = (rng.random(50) < 0.5).astype(np.float32)
        best = np.repeat(hits, 4)[:, None]
        columns = Columns({}, best, best, np.zeros((200, 2, 1)))
        widths = []
        for images in (np.repeat(np.arange(50), 4), np.arange(200)):
            found = set_estimates(SET_SCORES["max_box_acc_v2"], columns, columns, images, np.zeros(200, int), 1)
            (low,), (high,) = found.ours.limits(1.96, np.array([0]))
            widths.append(high - low)
            assert found.gain.limits(1.96, np.array([0])) == (0, 0)
        assert widths[0] / widths[1] == pytest.approx(2, rel=0.2)


def test_the_baseline_is_in_the_middle() -> None:
    heat = centre_map(31, 61)
    assert peak_of(heat) == (30.5, 15.5)
    assert heat.max() == 1
    assert np.allclose(heat, heat[::-1, ::-1])


def test_the_images_held_apart_are_always_the_same_and_as_many_as_asked_for() -> None:
    names = [f"{i}.jpg" for i in range(2000)]
    some = {name for name in names if held_apart(name, 0.2)}
    assert 340 < len(some) < 460
    assert some < {name for name in names if held_apart(name, 0.3)}
    assert not any(held_apart(name, 0) for name in names)
