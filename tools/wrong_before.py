"""Runs the cases that 0.1.0 answered wrongly on another checkout: `python -m tools.wrong_before PATH`.

Prints each case with the answer of the checkout and a verdict. Exit code 1 if an answer is neither right nor that of
0.1.0 (`git worktree add PATH 694683e`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(checkout: str) -> int:
    """Prints the table and returns the exit code."""
    sys.path.insert(0, str(ROOT))
    from tests.before.all import CASES

    script = str(ROOT / "tests" / "before" / "__main__.py")
    done = subprocess.run([sys.executable, script, checkout], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return 2
    answers = json.loads(done.stdout.splitlines()[-1])
    counts = {"right": 0, "wrong, as in 0.1.0": 0, "neither": 0}
    for case in CASES:
        answer = answers[case.name]
        verdict = "right" if answer == case.now else "wrong, as in 0.1.0" if answer == case.before else "neither"
        counts[verdict] += 1
        print(f"{verdict:18}  {case.name}: {json.dumps(answer, ensure_ascii=False)}")
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return int(counts["neither"] > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
