"""Prints the answers of another checkout to all cases as JSON: `python tests/before/__main__.py PATH`.

`python -m tools.wrong_before PATH` runs this in its own process and compares.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main(checkout: str) -> None:
    """Imports camx from the checkout, and the cases from this tree."""
    sys.path[0] = str(Path(checkout).resolve())
    spec = importlib.util.spec_from_file_location("tests", ROOT / "tests" / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["tests"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["tests"])
    warnings.simplefilter("ignore")
    from tests.before.all import CASES
    from tests.before.case import answered

    answers = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            answers[case.name] = answered(case)
            os.chdir(ROOT)
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
