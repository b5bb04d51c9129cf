"""The census: is `--layer auto` right for every classifier of timm and torchvision?

    python -m benchmarks.coverage --work FOLDER                    # hours; run it again to continue
    python -m benchmarks.coverage --work FOLDER --page docs/coverage.md --table docs/coverage.csv

One process. Each network is built with random weights, examined and dropped; its row is appended to `rows.jsonl` at
once. Networks above the limits are built with fewer blocks or for a smaller input; `how` of the row says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .census.page import write_page, write_table
from .census.rivals import verdicts
from .census.specimens import Specimen, all_names, in_order, planned, ways_to_build
from .census.verdict import Row, build, calibrated, examine, failed, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of plan.jsonl and rows.jsonl")
    parser.add_argument("--names", nargs="*", help="examine only these; their old rows are replaced")
    parser.add_argument("--failed", action="store_true", help="examine networks again that were not right")
    parser.add_argument("--whole", action="store_true", help="examine networks whole that were built smaller before")
    parser.add_argument("--limit-gmacs", type=float, default=6.0, help="build networks above this cost smaller")
    parser.add_argument(
        "--limit-parameters", type=float, default=100e6, help="build networks with more parameters smaller"
    )
    parser.add_argument("--time-limit", type=int, default=120, help="seconds per network")
    parser.add_argument("--rivals", action="store_true", help="one network per family, with torch-cam and grad-cam")
    parser.add_argument("--page", type=Path, help="write the page of all rows, and stop")
    parser.add_argument("--table", type=Path, help="write one CSV line per network, and stop")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.work.mkdir(parents=True, exist_ok=True)
    plan, rows = list(_plan(options.work / "plan.jsonl")), read_rows(options.work / "rows.jsonl")
    if options.page or options.table:
        if options.page:
            write_page(options.page, plan, rows, options.limit_gmacs)
        if options.table:
            write_table(options.table, rows)
        return
    _run(options, plan, rows)


def _run(options: argparse.Namespace, plan: list[Specimen], rows: dict[tuple[str, str], Row]) -> None:
    todo = in_order(plan)
    if options.rivals:
        todo = list({(s.library, s.family): s for s in reversed(todo)}.values())[::-1]
    todo = [s for s in todo if _wanted(s, options, rows)]
    for index, specimen in enumerate(todo):
        row = census_row(
            specimen,
            cost=options.limit_gmacs * 1e9,
            parameters=int(options.limit_parameters),
            seconds=options.time_limit,
            rivals=options.rivals,
        )
        with (options.work / "rows.jsonl").open("a") as file:
            file.write(json.dumps(dataclasses.asdict(row)) + "\n")
        print(f"{index + 1}/{len(todo)} {row.library}/{row.name} ({row.how}) {row.seconds} s: {row.layer} "
              f"{row.layout} {row.grid} {row.verdict}", flush=True)  # fmt: skip


def _wanted(specimen: Specimen, options: argparse.Namespace, rows: dict[tuple[str, str], Row]) -> bool:
    if options.names:
        return specimen.name in options.names
    row = rows.get((specimen.library, specimen.name))
    if options.rivals:
        return row is None or not row.rivals
    if row is not None and options.whole:
        return row.how != "whole" and specimen.cost <= options.limit_gmacs * 1e9
    return row is None or (options.failed and row.verdict != "right")


def census_row(
    specimen: Specimen, *, cost: float = 6e9, parameters: int = 100_000_000, seconds: int = 120, rivals: bool = False
) -> Row:
    """The verdict on one network; an error becomes the verdict."""
    began = time.monotonic()
    row = Row(specimen.library, specimen.name, specimen.family, specimen.parameters)
    for how, args, size in ways_to_build(specimen, cost, parameters):
        row.how, row.verdict = how, ""
        try:
            with _limited(seconds):
                built = build(specimen, args, size)
                examine(built, row)
                if row.verdict != "right" and (again := calibrated(built)) is not None:
                    built = again
                    examine(built, row)
                if rivals:
                    row.rivals = verdicts(built)
                break
        except Exception as error:
            failed(row, error)
        finally:
            built = None  # type: ignore[assignment]
            gc.collect()
    row.seconds = timed(began)
    return row


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise TimeoutError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _plan(path: Path) -> Iterator[Specimen]:
    """Every specimen; stores new sizes in the file."""
    known = {(s.library, s.name): s for s in (Specimen(**line) for line in _lines(path))}
    with path.open("a") as file:
        for library, name, family in all_names():
            if (library, name) not in known:
                known[library, name] = planned(library, name, family)
                file.write(json.dumps(dataclasses.asdict(known[library, name])) + "\n")
                file.flush()
            yield known[library, name]


def read_rows(path: Path) -> dict[tuple[str, str], Row]:
    """The latest row of each network."""
    return {(line["library"], line["name"]): Row(**line) for line in _lines(path)}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
