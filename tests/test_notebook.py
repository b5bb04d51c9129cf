"""The notebook runs from its first cell to its last on the demo data, and shows what its text promises."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "cats-and-dogs.ipynb"


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 8
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in code:
        compile("".join(cell["source"]), cell["id"], "exec")


@pytest.mark.slow
@pytest.mark.extras
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (camx[notebook])")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (camx[notebook])")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("NOTEBOOK_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("NOTEBOOK_PHOTOS", raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    if kept := os.environ.get("NOTEBOOK_KEPT"):
        nbformat.write(notebook, kept)
    told = "\n".join(
        output.get("text", "") or "".join(output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    assert "the price of CAM is" in told
    assert "48 of 48 images explained" in told
    assert re.search(r"(PASS|WARN|FAIL) accuracy_gap > 10% by mark", told)
    assert "wandb sync" in told
    shown = [
        kind
        for cell in notebook.cells
        if cell.cell_type == "code"
        for one in cell.outputs
        for kind in one.get("data", {})
    ]
    assert shown.count("image/png") >= 2, "the sheets of the first convolution"
    assert shown.count("text/html") >= 3, "explanations and maps beside each other"
    pages = {path.relative_to(tmp_path / "work").as_posix() for path in (tmp_path / "work").glob("*/*/index.html")}
    assert {
        "original/report/index.html",
        "head/report/index.html",
        "gap/report/index.html",
        "head/compare/index.html",
    } <= pages
