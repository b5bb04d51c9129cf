"""The census of target layers: its verdict can fail, and it agrees with `docs/coverage.csv`."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.census.page import write_page, write_table
from benchmarks.census.specimens import Specimen, in_order, ways_to_build
from benchmarks.census.verdict import Built, Row, build, examine
from benchmarks.coverage import census_row
from cam_cli.cams.target_layer.choose import choose_layer
from cam_cli.errors import CamxError
from cam_cli.models.hooks import TargetLayer
from cam_cli.models.layouts import Layout

TABLE = Path(__file__).parents[1] / "docs" / "coverage.csv"
SMALL = Specimen("timm", "test_vit", "vision_transformer", 400_000, 160)


def row() -> Row:
    return Row("timm", "test_vit", "vision_transformer", 400_000)


def test_a_network_that_is_right() -> None:
    found = census_row(SMALL)
    assert (found.verdict, found.layer, found.grid, found.prefix) == ("right", "blocks.5.norm1", (10, 10), 1)
    assert (found.gradient, found.placed, found.how) == (1.0, "yes", "whole")


class Turned(nn.Module):
    """Passes the image on with rows and columns exchanged: the map does not lie where the image changed."""

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.transpose(2, 3).flip(2)


def test_a_map_in_another_place_is_noticed() -> None:
    built = build(SMALL, {}, 160)
    turned = nn.Sequential(Turned(), nn.Conv2d(3, 8, 16, 16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    module = turned.append(nn.Linear(8, 7)).eval()
    found = row()
    with pytest.raises(CamxError, match="no layer that can be the target"):
        choose_layer(module, (160, 160))
    layer = TargetLayer("2", Layout("NCHW", 10, 10, 8))
    examine(Built(module, built.preprocessing, built.picture, layer, ""), found)
    assert found.verdict == "not where the picture changed"


def test_a_layer_that_is_mostly_dead_is_noticed() -> None:
    built = build(SMALL, {}, 160)
    found = row()
    examine(replace(built, layer=replace(built.layer, name="blocks.5")), found)
    assert "gradient at 0% of the positions" in found.verdict


def test_a_wrong_number_of_prefix_tokens_is_an_error_of_the_row() -> None:
    built = build(SMALL, {}, 160)
    with pytest.raises(RuntimeError):
        examine(replace(built, layer=replace(built.layer, layout=Layout("NLC", 10, 10, 64, prefix=0))), row())
    failed = census_row(Specimen("timm", "no_such_network", "nowhere"))
    assert "no_such_network" in failed.verdict


def test_one_of_each_family_comes_first_and_large_ones_are_made_smaller() -> None:
    names = [("a", "resnet", 5), ("b", "resnet", 1), ("c", "vit", 9), ("d", "vit", 3)]
    order = in_order([Specimen("timm", n, f, size) for n, f, size in names])
    assert [s.name for s in order] == ["b", "d", "a", "c"]
    large = Specimen("timm", "vit_tiny_patch16_224", "vision_transformer", 5_717_416, 224)
    assert [how for how, _, _ in ways_to_build(large, 1e12, 10**9)] == ["whole"]
    assert next(ways_to_build(large, 0.7e9, 10**9))[:2] == ("depth=4", {"depth": 4})


def test_the_page_and_the_table(tmp_path: Path) -> None:
    rows = {("timm", "test_vit"): census_row(SMALL)}
    write_page(tmp_path / "page.md", [SMALL, replace(SMALL, name="other")], rows, 2.5)
    text = (tmp_path / "page.md").read_text()
    assert "| timm | 2 | 1 | 1 | 0 | 1 |" in text
    assert "1 names, the largest, have not been examined yet; every family has been." in text
    assert "| timm vision_transformer | `blocks.N.normN` | NLC+1 | 10×10 | 1/2 (1 examined) |" in text
    write_table(tmp_path / "table.csv", rows)
    with (tmp_path / "table.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["layer"], line["height"], line["verdict"]) == ("blocks.5.norm1", "10", "right")


def listed() -> list[dict[str, str]]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("line", listed(), ids=lambda line: f"{line['library']}/{line['name']}")
def test_every_network_of_the_census(line: dict[str, str]) -> None:
    torch.set_num_threads(1)
    specimen = Specimen(line["library"], line["name"], line["family"], int(line["parameters"]), 224)
    found = census_row(replace(specimen, input_size=max(224, int(line["input_size"]))), cost=2.5e9)
    assert found.verdict == "right"
    assert (re.sub(r"\d+", "", found.layer), found.layout) == (re.sub(r"\d+", "", line["layer"]), line["layout"])
