"""Writes `docs/checkpoints.md`, the supported weight files and the errors of others, from the tables of the tests.

python -m tools.checkpoints_page            writes the page
python -m tools.checkpoints_page --check    writes nothing; exit code 1 if the page is out of date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.checkpoint_kinds import LOADS
from tests.refused_kinds import REFUSED

PAGE = Path(__file__).parents[1] / "docs" / "checkpoints.md"
_INTRODUCTION = """# Checkpoints

<!-- Written by `python -m tools.checkpoints_page` from the tables of tests/*_kinds.py; do not edit. -->

`--checkpoint FILE` loads weights into the network that `--model` names. If the file names its architecture,
`--model FILE` is enough. FILE may also be a folder, an `s3://`, `gs://` or `http://` address, or an artifact of W&B
(`wandb-artifact://ENTITY/PROJECT/NAME:VERSION`, or the name alone); a cache (`CAMX_CACHE`) keeps the last two. camx
never imports or runs anything from a file: it reads a pickle as data, and the size of the file bounds memory and
time.

* Every tensor is used, or known to have no influence on the scores (`run.json` lists it under `plan.idle_tensors`),
  or the cause of an error that names it. `--ignore-tensors GLOB` lists tensors that may be left over.
* camx rebuilds a head that its tensors describe, and one line of the run says so. If the tensors leave something
  open, the error names the argument that decides: `--model-arg head_activation=gelu` between linear layers,
  `--model-arg head_pool=maxavg` or `avgmax` behind two poolings side by side. For everything else use [your own
  code](own-network.md).
* camx takes size, mean and standard deviation of the input from the file, or from `config.json`,
  `preprocessor_config.json` and `args.yaml` beside it. Flags override them.

Folders of transformers and of open_clip are [networks of the hub](hub.md): `--model hf:FOLDER`."""


def page() -> str:
    """The content of the page."""
    loads = "\n".join(f"| {kind} |" for kind in LOADS)
    refused = "\n".join(f"| {kind} | {message} |" for kind, (_, message) in REFUSED.items())
    return (
        f"{_INTRODUCTION}\n\n## Supported files\n\nTop classes and probabilities are those of the library that wrote "
        f"the file; a test of each kind checks this.\n\n| kind |\n|---|\n{loads}\n\n## Unsupported files\n\n"
        "| kind | error message |\n|---|---|\n"
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
