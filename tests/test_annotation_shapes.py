"""Run lengths, polygons and boxes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cam_cli.images.annotations.rasterise import filled
from cam_cli.images.annotations.run_lengths import counts_of, decoded, encoded, text_of
from cam_cli.images.annotations.shapes import Bitmap, Box, Polygons, RunLengths
from cam_cli.images.orientation import Orientation

#: By the number in EXIF data.
TURNS = [
    Orientation(),
    Orientation(mirrored=True),
    Orientation(mirrored=True, flipped=True),
    Orientation(flipped=True),
    Orientation(transposed=True),
    Orientation(transposed=True, mirrored=True),
    Orientation(transposed=True, mirrored=True, flipped=True),
    Orientation(transposed=True, flipped=True),
]


class TestRunLengths:
    def test_an_example_by_hand(self) -> None:
        mask = np.array([[0, 1, 1], [0, 1, 0]], bool)
        assert encoded(mask) == [2, 3, 1]
        assert decoded([2, 3, 1], 3, 2).tolist() == mask.tolist()
        assert encoded(~mask) == [0, 2, 3, 1]

    @pytest.mark.extras
    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    @pytest.mark.parametrize("seed", range(30))
    def test_both_forms_are_those_of_pycocotools(self, seed: int) -> None:
        coco_mask = pytest.importorskip("pycocotools.mask")
        rng = np.random.default_rng(seed)
        height, width = map(int, rng.integers(1, 200, 2))
        mask = np.repeat(rng.random((height, width)) < rng.random(), 1, 0)
        theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = theirs["counts"].decode()
        counts = encoded(mask)
        assert counts_of(text) == counts
        assert text_of(counts) == text
        assert np.array_equal(decoded(counts, width, height), mask)
        plain = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        assert np.array_equal(coco_mask.decode(plain).astype(bool), mask)

    @pytest.mark.parametrize("text", ["~~~", "o", "oooooooooooooooooooo0", "é0", "0 0"])
    def test_a_text_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="run length"):
            counts_of(text)

    @pytest.mark.parametrize("counts", [[7], [-1, 7], [], [2**64 + 6], [5, 2], [2**63, 2**63, 2**63, -(3 * 2**63 - 6)]])
    def test_counts_of_another_size_are_refused_before_anything_is_allocated(self, counts: list[int]) -> None:
        with pytest.raises(ValueError, match="run length"):
            decoded(counts, 3, 2)


class TestShapes:
    def test_a_box_covers_cells_by_their_share(self) -> None:
        cover = Box(0.5, 0, 2, 1).coverage(4, 2, 4, 2)
        assert cover.tolist() == [[0.5, 1, 0, 0], [0, 0, 0, 0]]
        # On a raster of half the size: 1.5 of 4 pixels, and none.
        assert Box(0.5, 0, 2, 1).coverage(4, 2, 2, 1).tolist() == [[1.5 / 4, 0]]

    def test_a_polygon_is_filled_where_centres_lie_inside(self) -> None:
        triangle = np.array([[0, 0], [4, 0], [0, 4]], float)
        assert filled(triangle, 4, 4).astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]

    @pytest.mark.parametrize("seed", range(20))
    def test_a_polygon_covers_what_a_ray_to_the_left_crosses_oddly(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        ring = rng.uniform(-3, 15, (int(rng.integers(3, 9)), 2))
        slow = np.zeros((10, 12), bool)
        for y in range(10):
            for x in range(12):
                for (ax, ay), (bx, by) in zip(ring, np.roll(ring, -1, axis=0)):
                    if (ay <= y + 0.5) != (by <= y + 0.5) and ax + (y + 0.5 - ay) * (bx - ax) / (by - ay) <= x + 0.5:
                        slow[y, x] ^= True
        assert np.array_equal(filled(ring, 12, 10), slow)

    @pytest.mark.parametrize("turn", TURNS)
    def test_all_shapes_turn_as_the_pixels_do(self, turn: Orientation) -> None:
        width, height = 7, 5
        pixels = np.zeros((height, width), bool)
        pixels[1:3, 4:6] = True
        stored = Image.fromarray(pixels.astype(np.uint8))
        for wanted, method in (
            (turn.transposed, Image.Transpose.TRANSPOSE),
            (turn.mirrored, Image.Transpose.FLIP_LEFT_RIGHT),
            (turn.flipped, Image.Transpose.FLIP_TOP_BOTTOM),
        ):
            stored = stored.transpose(method) if wanted else stored
        expected = np.asarray(stored, np.float32)
        columns, rows = turn.size(width, height)
        square = np.array([[4, 1], [6, 1], [6, 3], [4, 3]], float)
        counts = RunLengths(tuple(encoded(pixels)), width, height)
        for shape in (Box(4, 1, 6, 3), Polygons((square,)), Bitmap(pixels), counts):
            placed = shape.upright(turn, width, height)
            assert np.allclose(placed.coverage(columns, rows, columns, rows), expected), shape
            assert Box(*placed.bounds()) == Bitmap(expected > 0).bounds()

    def test_polygons_of_one_object_are_joined(self) -> None:
        square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)
        both = Polygons((square, square + 1))
        assert both.coverage(4, 4, 4, 4).sum() == 7
        assert both.bounds() == Box(0, 0, 3, 3)
