"""Reads run folders: finished, running, interrupted, in shards, or of camx 0.1.0. No other file reads them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from PIL import Image

from ..errors import CamxError, UnreadableImage
from ..folders import files_below
from ..images.decode import read
from ..images.remote import is_remote
from ..run_layout import JOURNAL, METRICS, SPOTS, is_inside, part_folder, part_numbers
from .epoch_rows import EpochRow
from .journal import J, Journal
from .metrics import read_metrics
from .mirror import at_hand
from .record import RunRecord
from .record_file import read_record, recovered_record
from .result_pictures import opened_result
from .rows import ImageRow
from .spots import SpotsFile, SpotsRow, spots_of

EXPLAIN, ACTIVATIONS, EVALUATE, CAPTION, ASK, TRAIN_GAP = COMMANDS = (
    *("explain", "activations", "evaluate"),
    *("caption", "ask", "train-gap"),
)
FINISHED, INTERRUPTED, INCOMPLETE = "finished", "interrupted", "incomplete"


@dataclass(frozen=True, eq=False)
class RunFolder:
    """The results of a run in `path`.

    command: one of `COMMANDS`. record: `run.json` without malformed fields; empty after a kill before the first record.
    Changes nothing in the folder.
    """

    path: str
    command: str
    record: RunRecord
    #: Malformed fields of `run.json`, which are left out.
    wrong_fields: tuple[str, ...] = ()
    _folders: dict[str, str | None] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: str) -> RunFolder:
        """Opens a folder. Raises `CamxError` for one without results of camx."""
        if is_remote(path):
            raise CamxError(f"{path!r} is an address.", "Copy the folder to this machine, and give the copy.")
        if not os.path.isdir(path):
            raise CamxError(f"There is no folder {path!r}. Give the `output` of a run.")
        record, wrong = recovered_record(path)
        found = record if record is not None else RunRecord()
        run = cls(path, found.get("fingerprint", {}).get("command", ""), found, tuple(wrong))
        if run.command:
            return run
        if os.path.isfile(os.path.join(path, METRICS)):
            return cls(path, TRAIN_GAP, found, run.wrong_fields)
        # Without a record, the rows show the command.
        for row in run.rows():
            return cls(path, _command_of(row), found, run.wrong_fields)
        raise CamxError(
            f"{path!r} holds no results of `camx explain`, `activations`, `evaluate`, `caption`, `ask` or `train-gap`. "
            "Give the `output` of a run."
        )

    @property
    def task(self) -> str:
        """Meaning of the network's outputs, as `--task` names it; "" for the classes of whole images."""
        return self.record.get("fingerprint", {}).get("task", "")

    def require_probabilities(self) -> None:
        """Raises `CamxError` if the rows have no class probabilities, but shares of pixels, box scores or values."""
        if self.task:
            has = {"segmentation": "shares of pixels", "detection": "scores of boxes"}.get(self.task, "values")
            raise CamxError(
                f"The run in {self.path!r} has the task {self.task}: its rows have {has}, no class probabilities.",
                "Give a run of a classifier.",
            )

    @property
    def state(self) -> str:
        """`running`, `finished`, `interrupted`, `stopped`, `broken` or `incomplete`. A killed run stays `running`.

        A run in shards is `finished` when all shards are, even before the merge.
        """
        parts = part_numbers(self.path)
        if not parts:
            return self.record.get("state", INTERRUPTED)
        records = [read_record(self.file(part_folder(*part)))[0] or RunRecord() for part in parts]
        ended = {count for _, count in parts} == {len(parts)} and all(one.get("state") == FINISHED for one in records)
        state = self.record.get("state", INTERRUPTED)
        return FINISHED if ended else INCOMPLETE if state == FINISHED else state

    @property
    def complete(self) -> bool:
        """Whether the run, with all shards, is finished."""
        return self.state == FINISHED

    @property
    def inputs(self) -> str:
        """Folder to which image names are relative."""
        return self.record.get("fingerprint", {}).get("inputs", "")

    @property
    def images(self) -> list[str]:
        """Names of all images with a row, in input order."""
        return self._index.images

    @property
    def damaged(self) -> int:
        """Number of damaged lines of the journal and of the table of a training, which are ignored."""
        return self._index.damaged + self._table[1]

    def __contains__(self, image: str) -> bool:
        """Whether an image has a row."""
        return image in self._index.owners

    def rows(self, keys: Iterable[str] | None = None) -> Iterator[ImageRow]:
        """Rows of these images in the order of the keys, or of all in input order. Leaves out images without a row.

        Includes the rows of all shards.
        """
        return self._index.rows(self.images if keys is None else keys)

    def with_spots(self, rows: Iterable[ImageRow]) -> Iterator[tuple[ImageRow, SpotsRow | None]]:
        """Rows with their spots; None if missing or damaged.

        Raises `CamxError` for a file that cannot be read.
        """
        names = [self.file(f"{name.removesuffix(JOURNAL)}{SPOTS}") for name in self.journals()[::-1]]
        files = [found for name in names if (found := _lines(SpotsFile, name)) is not None]
        return ((row, spots_of(files, row)) for row in rows)

    @property
    def metrics(self) -> list[EpochRow]:
        """Epochs of a training from `metrics.csv`."""
        return self._table[0]

    def problems(self) -> list[str]:
        """Warnings about damaged parts, which are left out."""
        found = [f"{self.path}: the field {name} of run.json is malformed and left out." for name in self.wrong_fields]
        if self.damaged:
            lines = "line is" if self.damaged == 1 else "lines are"
            found.append(f"{self.path}: {self.damaged} damaged {lines} left out.")
        return found

    def file(self, name: str) -> str:
        """Path of a file of the run. Raises `CamxError` for a name that leads out of the folder."""
        if not is_inside(name):
            raise CamxError(
                f"The run in {self.path!r} names the file {name!r}, which lies outside the folder.",
                "camx does not read it. Check where the folder comes from.",
            )
        at_hand(self.path, name)
        return os.path.join(self.path, name)

    def has(self, name: str) -> bool:
        """Whether a name, which may come from a row, is a regular file of the run without links on the way."""
        if not is_inside(name):
            return False
        folder, _, last = name.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._real(folder)
        real = self._folders[folder]
        try:
            return real is not None and stat.S_ISREG(os.lstat(os.path.join(real, last)).st_mode)
        except (OSError, ValueError):
            return False

    def journals(self) -> list[str]:
        """Names of the existing journals: of OUT, then of shards."""
        names = [JOURNAL, *(f"{part_folder(*part)}/{JOURNAL}" for part in part_numbers(self.path))]
        return [name for name in names if os.path.lexists(self.file(name))]

    def files_in(self, folder: str) -> list[str]:
        """Names of all files below a folder of the run, sorted, without links."""
        start = os.path.join(self.path, folder)
        names = (f"{folder}/{inside}".replace(os.sep, "/") for inside in files_below(start))
        return sorted(name for name in names if self.has(name))

    def read_file(self, name: str) -> bytes:
        """Content of a file for which `has` is true, at most 1 GB. Raises `UnreadableImage`."""
        if not self.has(name):
            raise UnreadableImage(f"the run has no file {name!r}")
        return read(self.file(name))

    @contextmanager
    def picture(self, name: str) -> Iterator[Image.Image]:
        """Opens an image that camx wrote: reads the header, decodes nothing.

        Raises `UnreadableImage` for any other file, and for every fault, also for one of decoding inside the context.
        """
        with opened_result(self.read_file(name)) as image:
            yield image

    def has_picture(self, name: str) -> bool:
        """Whether a name is an image that camx wrote, by its header."""
        try:
            with self.picture(name):
                return True
        except UnreadableImage:
            return False

    def _real(self, folder: str) -> str | None:
        """Path of a folder of the run; None if a link leads elsewhere."""
        root = os.path.realpath(self.path)
        real = os.path.realpath(os.path.join(root, folder))
        return real if real == os.path.normpath(os.path.join(root, folder)) else None

    @cached_property
    def _index(self) -> _Index:
        return _Index([self.file(name) for name in self.journals()])

    @cached_property
    def _table(self) -> tuple[list[EpochRow], int]:
        return read_metrics(self.path) if self.command == TRAIN_GAP else ([], 0)


def _command_of(row: ImageRow) -> str:
    """Command that writes such a row."""
    maps = row.get("maps", ())
    if "caption" in row:
        return CAPTION
    if "answers" in row:
        return ASK
    if any("channels" in one for one in maps):
        return ACTIVATIONS
    return EVALUATE if any("scores" in one for one in maps) else EXPLAIN


class _Index:
    """Index over the journals of a run: of OUT, and over it those of shards."""

    def __init__(self, paths: list[str]) -> None:
        places: dict[str, int] = {}

        def note(row: ImageRow) -> None:
            places[row["image"]] = row.get("index", 0)

        found = [_lines(Journal, path, note) for path in paths]
        self._journals = [journal for journal in found if journal is not None]
        self.owners = {key: number for number, journal in enumerate(self._journals) for key in journal}
        self.images = sorted(places, key=places.__getitem__)
        self.damaged = sum(journal.damaged for journal in self._journals)

    def rows(self, keys: Iterable[str]) -> Iterator[ImageRow]:
        known = (key for key in keys if key in self.owners)
        for number, some in groupby(known, self.owners.__getitem__):
            yield from self._journals[number].rows(some)


def _lines(kind: type[J], path: str, note: Callable[[ImageRow], None] = lambda row: None) -> J | None:
    try:
        return kind.read(path, note)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CamxError(f"{path!r} cannot be read: {error.strerror or error}. Choose another folder.") from error
