"""The generated page of result files names every field."""

from __future__ import annotations

from pathlib import Path

import pytest

from cam_cli.outputs import rows as rows_module
from tools import results_page


def test_the_page_of_fields_is_fresh() -> None:
    assert results_page.PAGE.read_text("utf-8") == results_page.page(results_page.PAGE.read_text("utf-8"))
    assert results_page.main(["--check"]) == 0


def test_every_type_of_the_files_is_on_the_page() -> None:
    from cam_cli.outputs import record

    for module in (rows_module, record):
        for name, kind in vars(module).items():
            if isinstance(kind, type) and hasattr(kind, "__required_keys__") and not name.startswith("_"):
                assert kind in results_page.TYPES, name


def test_a_stale_page_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "results.md"
    stale.write_text(results_page.PAGE.read_text("utf-8").replace("Entropy of the mass", "Entropie"))
    monkeypatch.setattr(results_page, "PAGE", stale)
    assert results_page.main(["--check"]) == 1
    assert results_page.main([]) == 0
    assert results_page.main(["--check"]) == 0
