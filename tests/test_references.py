"""Generated pages agree with the fields, and tables of options with those of the engine."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

import cam_cli
from cam_cli.cams.engine.devices import PRECISIONS as FORWARD_PRECISIONS
from cam_cli.cams.engine.options import PRECISIONS, SMOOTHINGS
from cam_cli.cams.methods.augmentation import VIEWS
from cam_cli.cams.methods.names import METHOD_NAMES
from cam_cli.images.geometry import INTERPOLATIONS
from cam_cli.images.options import RESAMPLINGS
from cam_cli.outputs.options import PANEL, SAVED
from cam_cli.outputs.panel import PARTS
from cam_cli.outputs.savers import SAVERS
from cli.bind import flags_of
from cli.config import read_config
from cli.main import COMMANDS
from tools.file_map import main as file_map_main
from tools.library_page import CALLED, FILLED, documented
from tools.references import ROOT, main, stale

PRESETS = {"audit": "audit", "ci": "explain", "explain": "explain", "demo": "train-gap", "cats-vs-dogs": "train-gap"}


def test_the_generated_pages_are_up_to_date() -> None:
    assert not [str(path) for path in stale()], "python -m tools.references writes them"


def test_check_names_what_is_stale_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("docs", "configs"):
        (tmp_path / name).mkdir()
    readme = (ROOT / "README.md").read_text().replace("`--top-k 5`", "`--top-k 6`")
    (tmp_path / "README.md").write_text(re.sub(r"Grad-CAM and \d+ other", "Grad-CAM and 9 other", readme))
    methods, library = (ROOT / "docs" / name for name in ("methods.md", "library.md"))
    (tmp_path / "docs" / methods.name).write_text(methods.read_text().replace("| Selvaraju et al. 2017 |", "| me |", 1))
    (tmp_path / "docs" / library.name).write_text(library.read_text().replace("### heatmap", "### heat"))
    monkeypatch.setattr("tools.references.ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["references", "--check"])
    assert main() == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "docs/cli.md",
        "configs/explain.toml",
        "README.md",
        "docs/methods.md",
        "docs/library.md",
    ]
    assert not (tmp_path / "docs" / "cli.md").exists()
    monkeypatch.setattr(sys, "argv", ["references"])
    assert main() == 0
    assert not list(stale())
    assert (tmp_path / "README.md").read_text() == (ROOT / "README.md").read_text()
    assert (tmp_path / "docs" / "methods.md").read_text() == methods.read_text()
    assert (tmp_path / "docs" / "library.md").read_text() == library.read_text()


@pytest.mark.parametrize("lost", ["<!-- /options -->", "Grad-CAM and"])
def test_a_page_that_lost_its_marks_is_named(lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text().replace(lost, ""))
    monkeypatch.setattr("tools.references.ROOT", tmp_path)
    with pytest.raises(ValueError, match=re.escape(lost) if lost.startswith("<") else "the README needs"):
        list(stale())


def test_the_readme_has_the_number_of_methods() -> None:
    readme = (ROOT / "README.md").read_text()
    assert f"Grad-CAM and {len(METHOD_NAMES) - 1} other methods" in readme.split("\n\n")[1].replace("\n", " ")
    assert f"takes {len(METHOD_NAMES)} methods" in readme


def test_the_reference_of_the_library_has_every_public_name_with_what_it_takes() -> None:
    text = (ROOT / "docs" / "library.md").read_text().split("## Reference")[1]
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", text, re.DOTALL | re.MULTILINE))
    assert set(cam_cli.__all__) < set(sections)
    assert "on_step: StepCallback | None = None," in sections["Explainer"]
    assert "* `images`: how many there will be" in sections["Explainer"]
    assert "| `top_k` | `int` | `5` | Classes per image in the table. |" in sections["ExplainOptions"]
    assert "| `values` | `ndarray` | required |" in sections["ClassMap"]
    assert "* `.log(images: Tensor, step: int) -> None`:" in sections["FeatureLogger"]
    assert "* `explainer(inputs: Inputs, *, labels: " in sections["Explainer"]
    assert "* `Target.parse(text: str) -> Target`:" in sections["Target"]
    assert "most_maps" not in sections["Explainer"]
    assert "* `reader`" not in sections["Explainer"]
    assert "| `scales` |" not in sections["Rendering"]
    assert "* `scales`" not in sections["Rendering"]


def test_methods_and_fields_that_the_reference_chooses_exist() -> None:
    for name, called in CALLED.items():
        assert set(called) <= set(vars(getattr(cam_cli, name))), name
    for name, filled in FILLED.items():
        assert all(one in Path(inspect.getfile(getattr(cam_cli, name))).read_text("utf-8") for one in filled), name


def test_a_docstring_becomes_paragraphs_lists_and_code() -> None:
    def example() -> None:
        """Counts rows. Nothing else.

        rows: what is counted; start, stop: the first and the last. Raises `ValueError` for none.

        >>> example()
        """

    assert list(documented(example)) == [
        "Counts rows. Nothing else.",
        "* `rows`: what is counted.\n* `start`, `stop`: the first and the last.",
        "Raises `ValueError` for none.",
        "```\nexample()\n```",
    ]
    assert "* `rows`: what is counted." in list(documented(example, ["start", "stop"]))


def test_the_reference_has_every_flag_and_variable_of_every_command() -> None:
    sections = re.split(r"^## camx ", (ROOT / "docs" / "cli.md").read_text(), flags=re.MULTILINE)[1:]
    for section, (name, command) in zip(sections, COMMANDS.items(), strict=True):
        assert section.startswith(f"{name}\n")
        for option in flags_of(command.run):
            assert f"`{option.spelled()}" in section, option.name
            assert f"`{option.variable}`" in section or option.flag.argument, option.name


def test_presets_name_flags_of_their_command() -> None:
    assert {path.stem for path in (ROOT / "configs").glob("*")} == set(PRESETS)
    for name, command in PRESETS.items():
        keys = {key for option in flags_of(COMMANDS[command].run) for key in (option.name, f"no-{option.name}")}
        assert set(read_config(str(ROOT / "configs" / f"{name}.toml"))) <= keys, name


def test_pages_that_flags_and_commands_name_exist() -> None:
    pages = {command.page for command in COMMANDS.values()}
    pages |= {option.flag.page for command in COMMANDS.values() for option in flags_of(command.run)}
    assert not [page for page in pages - {""} if not (ROOT / "docs" / page).exists()]


@pytest.mark.parametrize(
    ("named", "table"),
    [
        ((*SAVED, "panel"), SAVERS),
        (PANEL, PARTS),
        (SMOOTHINGS, VIEWS),
        (PRECISIONS[1:], FORWARD_PRECISIONS),
        (RESAMPLINGS, INTERPOLATIONS),
    ],
)
def test_choices_are_the_keys_of_the_table(named: tuple[str, ...], table: dict[str, object]) -> None:
    assert named == tuple(table)


def test_the_map_of_the_files_is_up_to_date() -> None:
    assert file_map_main(["--check"]) == 0, "python -m tools.file_map writes it"


def test_a_module_that_changes_makes_the_map_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "files.md"
    page.write_text("<!-- files -->\nold\n<!-- /files -->\nrest\n")
    monkeypatch.setattr("tools.file_map.PAGE", page)
    assert file_map_main(["--check"]) == 1
    assert file_map_main([]) == file_map_main(["--check"]) == 0
    text = page.read_text()
    assert "| `keys` | Turns the name of an image" in text
    assert text.endswith("<!-- /files -->\nrest\n")
