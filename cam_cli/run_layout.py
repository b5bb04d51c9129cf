"""Names of the files and folders of a run in OUT."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Final

JOURNAL: Final = "manifest.jsonl"
#: Spots of the maps, one line per image.
SPOTS: Final = "spots.jsonl"
RECORD: Final = "run.json"
LOCK: Final = ".camx.lock"

#: Tables of `explain`, `activations`, `evaluate`, `caption` and `ask`, derived from the journal, and of a training.
TABLE: Final = "predictions.csv"
#: Table of maps, and both tables in other formats.
MAPS_TABLE: Final = "maps.csv"
TYPED_TABLES: Final = tuple(f"{name}.{form}" for name in ("predictions", "maps") for form in ("jsonl", "parquet"))
ACTIVATIONS_TABLE: Final = "activations.csv"
FAITHFULNESS_TABLE: Final = "faithfulness.csv"
CAPTIONS_TABLE: Final = "captions.csv"
#: Table of the words of captions.
WORDS_TABLE: Final = "words.csv"
ANSWERS_TABLE: Final = "answers.csv"
METRICS: Final = "metrics.csv"

OVERLAYS: Final = "overlays"
HEATMAPS: Final = "heatmaps"
ARRAYS: Final = "arrays"
MASKS: Final = "masks"
#: Image, overlay and map side by side.
PANELS: Final = "panels"
#: Sheets of `activations`.
SHEETS: Final = "activations"

REPORT: Final = "report/index.html"
REPORT_DATA: Final = "report/data"
THUMBNAILS: Final = "report/thumbs"
#: Data files of a report: build of the page, content, number.
REPORT_PART: Final = re.compile(r"[0-9a-f]{12}-[a-z]+(-\d+)?\.js")

#: `parts/<number>-of-<count>` holds journal and record of a shard, and the list of its images: lines `[position in the
#: input, name]`.
PARTS: Final = "parts"
INPUTS: Final = "inputs.jsonl"

#: Folders of a run that hold images.
RESULT_FOLDERS: Final = frozenset({OVERLAYS, HEATMAPS, ARRAYS, MASKS, PANELS, SHEETS, "report", PARTS})
#: Folders that `audit`, `compare` and `evaluate` derive from the rows of a run: outdated when rows change.
AUDIT: Final = "audit"
COMPARE: Final = "compare"
EVALUATE: Final = "evaluate"
PATTERNS: Final = "patterns"
#: Run of `patterns --check` in the folder of patterns, and its table.
CHECK: Final = "check"
CHECKS_TABLE: Final = "checks.csv"
DERIVED: Final = (
    *(f"{AUDIT}/{name}" for name in ("groups.csv", "pairs.csv", "summary.json")),
    *(f"{COMPARE}/{name}" for name in ("images.csv", "groups.csv", "summary.json", "index.html")),
    *(f"{PATTERNS}/{name}" for name in ("patterns.csv", "images.csv", "summary.json", "index.html")),
    *(
        f"{EVALUATE}/{name}"
        for name in (
            *("images.csv", "groups.csv", "left_out.csv", "summary.json"),
            *("methods.csv", "index.html", "truth.jsonl"),
        )
    ),
)
#: Folders of trackers, which other programs share.
TRACKER_FOLDERS: Final = frozenset({"wandb", "tensorboard"})


def part_folder(number: int, count: int) -> str:
    """Folder in OUT of shard `number` (from 1) of `count`."""
    return f"{PARTS}/{number}-of-{count}"


def part_numbers(path: str) -> list[tuple[int, int]]:
    """(number, count) of the shards with a folder in OUT, sorted by count, then number."""
    try:
        names = os.listdir(os.path.join(path, PARTS))
    except OSError:
        return []
    found = (re.fullmatch(r"([1-9]\d{0,8})-of-([1-9]\d{0,8})", name) for name in names)
    numbers = sorted((int(match[2]), int(match[1])) for match in found if match)
    return [(number, count) for count, number in numbers if number <= count]


def is_inside(name: str) -> bool:
    """Whether a relative name with `/` stays below OUT, apart from links."""
    parts = name.replace(os.sep, "/").split("/")
    return "\0" not in name and not os.path.isabs(name) and not {"", ".", ".."} & {*parts}


def is_result(name: str) -> bool:
    """Whether a relative name is a file in one of the result folders."""
    return is_inside(name) and "/" in name and name.split("/")[0] in RESULT_FOLDERS


def output_name(folder: str, key: str, suffix: str, *, apart: bool = False) -> str:
    """Path in OUT of a result of an image. Names too long for a file system end in a digest.

    apart: adds a digest, because some file systems treat another key as the same name.
    """
    *parents, name = key.split("/")
    if apart:
        suffix = f"~{hashlib.sha256(os.fsencode(key)).hexdigest()[:12]}{suffix}"
    if len(os.fsencode(name + suffix)) > 255:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
        kept = os.fsdecode(os.fsencode(name)[: 255 - len(os.fsencode(suffix)) - 13])
        name = f"{kept}~{digest}"
    return "/".join([folder, *parents, name + suffix])
