"""Tasks of networks: results without probabilities, and the names of torchvision."""

from __future__ import annotations

from pathlib import Path

import pytest

from cam_cli.report.build import build_report
from cli.main import run

from .damaged import row, written
from .report_support import content
from .task_networks import record_of, scene


@pytest.mark.parametrize(
    ("task", "has"), [("segmentation", "shares of pixels"), ("regression", "values"), ("detection", "scores of boxes")]
)
@pytest.mark.parametrize(
    "argv",
    [("audit", "OUT", "--by", "label"), ("compare", "OUT", "OUT"), ("export", "OUT", "--format", "csv"), ("patterns", "OUT")],
    ids=lambda argv: argv[0],
)  # fmt: skip
def test_readers_of_probabilities_reject_rows_without_them(
    argv: tuple[str, ...], task: str, has: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "out", [row(label="cat", correct=True)], record_of(task))
    assert run([str(tmp_path / "out") if word == "OUT" else word for word in argv]) == 2
    assert f"has the task {task}: its rows have {has}" in " ".join(capsys.readouterr().err.split())


def test_the_page_of_a_segmentation_has_no_probabilities(tmp_path: Path) -> None:
    for task, shown in (("", [0.5]), ("segmentation", [None])):
        out = written(tmp_path / f"out{task}", [row(label="cat", correct=True)], record_of(task))
        build_report(str(out))
        parts = content(out / "report" / "index.html")["parts"]
        assert parts["rows-0"]["prob"] == shown


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("torchvision/r3d_18", "classifies clips"),
        ("raft_small", "motion between two images"),
        ("quantized_resnet18", "integers"),
    ],
)
def test_networks_that_cannot_be_served_are_refused_with_the_reason(
    name: str, reason: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scene().save(tmp_path / "a.png")
    assert run(["explain", str(tmp_path / "a.png"), "-m", name, "-o", str(tmp_path / "out")]) == 2
    assert reason in " ".join(capsys.readouterr().err.split())


def test_the_page_names_every_network_of_torchvision_with_its_kind() -> None:
    import torchvision

    from benchmarks.census.kinds import minor_version, with_section

    text = (Path(__file__).parents[1] / "docs" / "coverage.md").read_text("utf-8")
    if f"list_models()` of {minor_version()} has" not in text:
        pytest.skip(f"the page is of another torchvision than {minor_version()}")
    assert text == with_section(text), "python -m benchmarks.census.kinds"
    section = text.partition("## Every name of torchvision")[2]
    assert all(section.count(f"`{name}`") == 1 for name in torchvision.models.list_models())


def test_every_name_of_torchvision_is_served_or_refused_with_a_reason() -> None:
    import torchvision

    from cam_cli.models.libraries import other_kind
    from cam_cli.models.names import is_name

    for name in torchvision.models.list_models():
        assert is_name(f"torchvision/{name}") != bool(other_kind(name)), name
