"""Writes `docs/checkpoints.md`: the weight files that camx reads, and its messages on others, from the test table.

python -m tools.checkpoints_page            writes the page
python -m tools.checkpoints_page --check    exit code 1 if it would be written differently
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.checkpoint_kinds import LOADS
from tests.refused_kinds import REFUSED

PAGE = Path(__file__).parents[1] / "docs" / "checkpoints.md"
_INTRODUCTION = """# Files of weights

<!-- Written by `python -m tools.checkpoints_page` from the tables of tests/*_kinds.py; do not edit. -->

`--checkpoint FILE` takes any of these for the network that `--model` names; `--model FILE` alone where the file
names its network. A folder, an address that images can be read from, and an artifact of W&B
(`wandb-artifact://ENTITY/PROJECT/NAME:VERSION`, or the name alone) do as well; the last two are kept in a cache
(`CAMX_CACHE`). Nothing in a file is ever imported or run: a pickle is read as data, and memory and time are bounded
by the size of the file.

* Every tensor is used, known to play no part in the scores (`run.json` lists it under `plan.idle_tensors`), or
  named and refused. `--ignore-tensors GLOB` vouches for what may be left over.
* A head that its tensors describe is rebuilt, and one line of the run says so. What they do not decide is
  refused with the argument that does: `--model-arg head_activation=gelu` between linear layers, `--model-arg
  head_pool=maxavg` or `avgmax` behind two poolings side by side. [Your own
  code](own-network.md) is the way for everything else.
* What the file, or `config.json`, `preprocessor_config.json` and `args.yaml` beside it, say of the input is
  used. Flags come first."""


def page() -> str:
    """The content of the page."""
    loads = "\n".join(f"| {kind} |" for kind in LOADS)
    refused = "\n".join(f"| {kind} | {message} |" for kind, (_, message) in REFUSED.items())
    return (
        f"{_INTRODUCTION}\n\n## Read\n\nTop classes and probabilities are those of the library that wrote the file; "
        f"a test of each kind says so.\n\n| kind |\n|---|\n{loads}\n\n## Refused\n\n"
        "| kind | the message says |\n|---|---|\n"
        f"{refused}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is out of date")
    if not parser.parse_args().check:
        PAGE.write_text(page(), "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == page():
        return 0
    print(f"{PAGE.name} is out of date: python -m tools.checkpoints_page", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
