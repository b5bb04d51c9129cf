"""Writes the table of faithfulness into docs/methods.md: methods in the order of their scores on drawn scenes.

python -m tools.faithfulness_table            measures with the demo network and writes the table
python -m tools.faithfulness_table OUT        writes the table of a finished run of `camx evaluate`
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from cam_cli.evaluation.faithful_files import faithfulness, methods_table
from cam_cli.faithfulness.options import FaithfulOptions
from cam_cli.pipeline import EvaluateJob, run_evaluate
from cam_cli.pipeline.job import OptionalModel
from tools.truth_scenes import write_scenes

PAGE = Path(__file__).resolve().parents[1] / "docs" / "methods.md"
BEGIN, END = "<!-- faithfulness: python -m tools.faithfulness_table -->", "<!-- /faithfulness -->"
METHODS = ("gradcam", "cam", "gradcam++", "layercam", "hirescam", "xgradcam", "reciprocam", "eigencam", "fem")
METRICS = ("deletion", "insertion", "adcc", "sensitivity", "sanity")
SCENES = 40


def measure(folder: Path) -> Path:
    """Measures the methods on scenes drawn into `folder`, and returns the folder of the run."""
    write_scenes(folder, SCENES)
    run_evaluate(
        EvaluateJob(
            sources=(str(folder / "images"),),
            model=OptionalModel("demo"),
            faithful=FaithfulOptions(methods=METHODS, metrics=METRICS, device="cpu"),
            output=str(folder / "out"),
            report=False,
        )
    )
    return folder / "out"


def rendered(page: str, run: Path) -> str:
    """The page with the table of a run between its marks."""
    found = faithfulness(str(run))
    flags = [f"`{one.name}` {flag}" for one in found.figures.methods for flag in one.flags]
    text = methods_table(found) + ("\nFlagged: " + "; ".join(flags) + ".\n" if flags else "")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{text}{END}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    given = parser.parse_args().run
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(rendered(PAGE.read_text("utf-8"), given or measure(Path(folder))), "utf-8")


if __name__ == "__main__":
    main()
