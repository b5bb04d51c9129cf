"""`--save mask` and the box of the largest part, both at `--box-threshold`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_cli.maps.measures import measured

from .conftest import TINY

Camx = Callable[..., int]


def test_the_box_of_the_largest_part_is_that_of_the_threshold() -> None:
    """A peak of 1, beside it 0.3, and apart from both another 0.3."""
    mass = np.zeros((10, 10), np.float32)
    mass[2, 2], mass[2, 3], mass[8, 8] = 1, 0.3, 0.3
    assert measured(mass).component == pytest.approx((0.2, 0.2, 0.3, 0.3))
    assert measured(mass, 0.25).component == pytest.approx((0.2, 0.2, 0.4, 0.3))
    assert measured(mass, 0.25).box == measured(mass).box


def test_a_mask_shows_what_reaches_the_threshold_in_the_place_of_the_image(camx: Camx, images: Path) -> None:
    words = ("explain", images, *TINY, "--save", "heatmap,mask", "--box-threshold", "0.2", "--no-report", "-q")
    assert camx(*words) == 0
    rows = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_text().splitlines()]
    for row in rows:
        (one,) = row["maps"]
        mask = np.asarray(Image.open(Path("camx-out", one["mask"])).convert("L"))
        heat = np.asarray(Image.open(Path("camx-out", one["heatmap"])).convert("L"))
        assert {*np.unique(mask)} <= {0, 255}
        assert mask.shape == heat.shape
        certain = np.abs(heat.astype(int) - 0.2 * heat.max()) > 1
        assert ((mask == 255) == (heat >= 0.2 * heat.max()))[certain].all()
        assert one["component"]["threshold"] == 0.2
    assert camx("explain", images, *TINY, "--overwrite", "--no-report", "-q") == 0
    assert not list(Path("camx-out").glob("masks/**/*.png"))


def test_another_threshold_needs_another_folder(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("explain", images, *TINY, "--limit", "1", "--no-report", "-q")
    assert camx(*words) == 0
    assert "box_threshold" not in json.loads(Path("camx-out/run.json").read_text())["fingerprint"]["rendering"]
    assert camx(*words, "--box-threshold", "0.5") == 0
    assert camx(*words, "--box-threshold", "0.1") == 2
    assert "box_threshold" in capsys.readouterr().err
