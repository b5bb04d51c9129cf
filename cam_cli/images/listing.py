"""Which images: files, folders, globs, tar files, addresses, `@lists` and standard input become one ordered list."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePath
from typing import Annotated, NamedTuple

from ..errors import CamxError
from ..options import INPUT, Flag
from ..run_layout import JOURNAL, RESULT_FOLDERS, TRACKER_FOLDERS
from .keys import distinct_key, image_key
from .label_table import NO_TRUTH, Truth, truth_of
from .remote import is_remote, listed
from .tables import read_table
from .tars import is_tar, members

#: Files of these extensions are taken from folders; `--include` replaces the rule.
EXTENSIONS = frozenset(
    [
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".heic",
        ".heif",
        ".ico",
        ".jfif",
        ".j2k",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".qoi",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    ]
)

#: What is known of an address that only a list names: a later run takes it for the same file.
UNKNOWN_STATE = (-1, 0)


@dataclass(frozen=True, slots=True)
class Source:
    """One image of a run.

    `key` is its name everywhere (CSV, journal, overlay path): the path relative to the deepest folder
    that holds all sources, with `/`; never absolute, never `..`, unique in a run.
    `folder_label` is the class folder it lies in; `label` its true class as a list or a table has it, or "", and
    `more_labels` the others of an image with several.
    `attributes` are the other columns of that table: (name, text), none empty.
    `span` is the offset and size of its bytes in the tar file at `path`. `listed_state` is that of a file outside the
    file system: its size in a listing, and a number there that changes with its content.
    """

    key: str
    path: str
    label: str = ""
    folder_label: str = ""
    span: tuple[int, int] | None = None
    listed_state: tuple[int, int] | None = None
    more_labels: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """All true classes; none without a label."""
        return (self.label, *self.more_labels) if self.label else ()


@dataclass(frozen=True)
class Inputs:
    """The sources in input order; `base` is the absolute folder that their keys start in, `passed_over` how many
    files of the folders were no images by their name, `linked` the links to folders, which are not followed. `notes`:
    sentences for the user on labels that are missing, doubtful or left over."""

    sources: tuple[Source, ...]
    base: str
    passed_over: int = 0
    linked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filters:
    """Which files count: `include` replaces the rule of extensions in folders, `exclude` leaves images out."""

    include: Annotated[
        tuple[str, ...],
        Flag(
            "Take these files from folders, instead of those with image extensions. Repeatable.",
            panel=INPUT,
            repeatable=True,
            example="*.jpg",
        ),
    ] = ()
    exclude: Annotated[
        tuple[str, ...],
        Flag("Leave these images out. Repeatable.", panel=INPUT, repeatable=True, example="*_mask.png"),
    ] = ()


class _Entry(NamedTuple):
    """A file found, the folder (absolute) that its key may start at, and what is known of its class."""

    path: str
    absolute: str
    root: str
    folder_label: str
    truth: Truth = NO_TRUTH
    passed_over: bool = False
    linked: bool = False
    span: tuple[int, int] | None = None
    listed_state: tuple[int, int] | None = None

    def source(self, key: str) -> Source:
        label, *more = self.truth.labels or ("",)
        more_labels, attributes = tuple(more), self.truth.attributes
        return Source(key, self.path, label, self.folder_label, self.span, self.listed_state, more_labels, attributes)


def find(arguments: Sequence[str], filters: Filters = Filters(), *, limit: int | None = None) -> Inputs:
    """All images that the arguments name, in the order given, folders sorted, each file once.

    Raises `CamxError` for an argument that names no image, and when `exclude` leaves none.
    """
    found: dict[str, _Entry] = {}
    passed_over, linked = 0, list[str]()
    for argument in arguments:
        images = skipped = 0
        links = len(linked)
        for entry in _without_tars(_expand(argument, filters), filters):
            if entry.linked:
                linked.append(entry.path)
            elif entry.passed_over:
                skipped += 1
            else:
                images += 1
                known = found.setdefault(entry.absolute, entry)
                if entry.truth != known.truth:
                    found[entry.absolute] = known._replace(truth=known.truth.joined(entry.truth))
        if not images:
            raise CamxError(_nothing(argument, skipped, linked[links:]))
        passed_over += skipped
    base, start = _common({entry.root for entry in found.values()})
    keyed: dict[str, Source] = {}
    for absolute, entry in found.items():
        key = distinct_key(image_key(absolute[start:].replace(os.sep, "/")), absolute, keyed)
        keyed[key] = entry.source(key)
    sources = list(keyed.values())
    found.clear()
    kept = [source for source in sources if not _matches(source.key, filters.exclude)] if filters.exclude else sources
    if not kept:
        raise CamxError(f"All {len(sources)} images are excluded by {', '.join(filters.exclude)}. Loosen `exclude`.")
    return Inputs(tuple(kept[:limit]), base, passed_over, tuple(linked))


def _common(roots: set[str]) -> tuple[str, int]:
    """The deepest folder that holds all of these, and how many characters of a path lie before the key."""
    places = {root.partition("://")[0] if is_remote(root) else "" for root in roots}
    if len(places) > 1:
        raise CamxError("The images lie in more than one place (files, s3://, …). Give sources of one place per run.")
    place = places.pop()
    if not place:
        base = os.path.commonpath(roots)
        return base, len(base.rstrip(os.sep)) + 1
    head = f"{place}://"
    inside = os.path.commonpath({"/" + root.removeprefix(head).strip("/") for root in roots}).strip("/")
    return head + inside, len(head) + (len(inside) + 1 if inside else 0)


def _matches(key: str, patterns: Iterable[str]) -> bool:
    name = key.rsplit("/", 1)[-1]
    return any(fnmatch(key, p) or fnmatch(name, p) for p in patterns)


def _expand(argument: str, filters: Filters) -> Iterator[_Entry]:
    for applies, expand in SOURCES:
        if applies(argument):
            yield from expand(argument, filters)
            return
    raise CamxError(f"There is no file or folder {argument!r}. Check the path; a pattern needs one of * ? [.")


def _without_tars(entries: Iterable[_Entry], filters: Filters) -> Iterator[_Entry]:
    """The entries, with the images that it holds in the place of a tar file."""
    for entry in entries:
        if not is_tar(entry.path) or entry.passed_over:
            yield entry
            continue
        version = entry.listed_state[1] if entry.listed_state else os.stat(entry.path).st_mtime_ns
        for member in members(entry.path):
            named = _matches(member.name, filters.include) if filters.include else _has_image_name(member.name)
            yield entry._replace(
                absolute=f"{entry.absolute}/{member.name}",
                folder_label=os.path.basename(os.path.dirname(member.name)),
                truth=Truth((member.label,)) if member.label else entry.truth,
                passed_over=not named,
                span=(member.offset, member.size),
                listed_state=(member.size, version),
            )


def _remote(argument: str, filters: Filters) -> Iterator[_Entry]:
    """What lies at an address: a file, whatever its name is, the images below a folder, or those of a pattern."""
    files = listed(argument)
    alone = [file.url for file in files] == [argument]
    pattern = re.search(r"[*?\[]", argument) if not argument.startswith("http") else None
    root = argument[: pattern.start()] if pattern else argument
    root = root.rpartition("/")[0] if alone or pattern else root.rstrip("/")
    results = {file.url.removesuffix(JOURNAL) for file in files if file.url.endswith(f"/{JOURNAL}")}
    for file in files:
        inside = file.url.removeprefix(root).strip("/")
        if any(file.url.startswith(f"{out}{name}/") for out in results for name in RESULT_FOLDERS):
            continue
        named = _matches(inside, filters.include) if filters.include else alone or _has_image_name(file.url)
        first, below, _ = inside.partition("/")
        label = first if below else root.rpartition("/")[2]
        passed_over = not named and not is_tar(file.url)
        yield _Entry(file.url, file.url, root, label, passed_over=passed_over, listed_state=(file.size, file.version))


def _stdin(_: str, filters: Filters) -> Iterator[_Entry]:
    data = sys.stdin.buffer.read()
    separator = b"\0" if b"\0" in data else b"\n"
    for line in data.split(separator):
        path = os.fsdecode(line.rstrip(b"\r") if separator == b"\n" else line)
        if path:
            yield _listed_entry(path, os.curdir)


def _list_file(argument: str, filters: Filters) -> Iterator[_Entry]:
    path = argument[1:]
    folder = os.path.dirname(path) or os.curdir
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if path.lower().endswith((".csv", ".tsv")):
                rows = list(read_table(file, path, required="image"))
            else:
                rows = [{"image": line.rstrip("\r\n")} for line in file]
    except OSError as error:
        raise CamxError(
            f"The list {path!r} cannot be read: {error.strerror}. Give @FILE with one path per line."
        ) from error
    for row in rows:
        if row["image"]:
            yield _listed_entry(row["image"], folder, truth_of(row))


def _listed_entry(path: str, folder: str, truth: Truth = NO_TRUTH) -> _Entry:
    """A path of a list: beside the list, or else in the working folder. It may be missing; its row says so."""
    if is_remote(path):
        root = path.rpartition("/")[0]
        return _Entry(path, path, root, root.rpartition("/")[2], truth, listed_state=UNKNOWN_STATE)
    beside = os.path.join(folder, path)
    if not os.path.lexists(beside) and os.path.lexists(path):
        beside, folder = path, os.curdir
    absolute, root = os.path.abspath(beside), os.path.abspath(folder)
    parent = os.path.dirname(absolute)
    inside = absolute.startswith(root.rstrip(os.sep) + os.sep)
    return _Entry(os.path.normpath(beside), absolute, root if inside else parent, os.path.basename(parent), truth)


def _folder(argument: str, filters: Filters) -> Iterator[_Entry]:
    root = os.path.abspath(argument)
    for inside, linked in _walk(argument, ""):
        path = os.path.join(argument, inside)
        # One string for both where it can be: there may be a million of them.
        absolute = path if argument == root else os.path.join(root, inside)
        if linked:
            yield _Entry(path, absolute, root, "", linked=True)
            continue
        named = _matches(inside.replace(os.sep, "/"), filters.include) if filters.include else _has_image_name(path)
        first, below, _ = inside.partition(os.sep)
        label = sys.intern(first if below else os.path.basename(root))
        yield _Entry(path, absolute, root, label, passed_over=not named)


def _walk(folder: str, inside: str) -> Iterator[tuple[str, bool]]:
    """Paths of regular files, and of links to folders (True), in a folder, sorted by their parts. Hidden entries
    and the results of earlier runs are left out."""
    try:
        with os.scandir(os.path.join(folder, inside)) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        where = os.path.join(folder, inside)
        raise CamxError(f"The folder {where!r} cannot be listed: {error.strerror}. Check its permissions.") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = os.path.join(inside, entry.name)
        if entry.is_dir(follow_symlinks=False):
            if not holds_results(entry.path):
                yield from _walk(folder, path)
        elif entry.is_file():
            yield path, False
        elif entry.is_dir():
            yield path, True


def holds_results(folder: str) -> bool:
    """Whether a folder is a training's, or the overlays, heatmaps … of a run: no input, wherever it lies."""
    parent, name = os.path.split(folder)
    if name in RESULT_FOLDERS | TRACKER_FOLDERS and os.path.isfile(os.path.join(parent, JOURNAL)):
        return True
    return os.path.isfile(os.path.join(folder, "training-state.pt"))


def _has_image_name(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in EXTENSIONS


def _pattern(argument: str, filters: Filters) -> Iterator[_Entry]:
    root = argument
    while glob.has_magic(root):
        root = os.path.dirname(root)
    root = os.path.abspath(root or os.curdir)
    for path in sorted(glob.iglob(argument, recursive=True)):
        absolute = os.path.abspath(path)
        if os.path.isdir(path):
            if "**" not in argument:
                yield from _folder(path, filters)
        elif os.path.isfile(path) and not any(map(holds_results, map(str, PurePath(absolute).parents))):
            yield _Entry(path, absolute, root, os.path.basename(os.path.dirname(absolute)))


def _file(argument: str, filters: Filters) -> Iterator[_Entry]:
    absolute = os.path.abspath(argument)
    folder = os.path.dirname(absolute)
    yield _Entry(argument, absolute, folder, os.path.basename(folder))


#: What an argument can be, tried in order: (does it apply, how it becomes files).
SOURCES: tuple[tuple[Callable[[str], bool], Callable[[str, Filters], Iterator[_Entry]]], ...] = (
    (lambda argument: argument == "-", _stdin),
    (is_remote, _remote),
    (os.path.isdir, _folder),
    (os.path.lexists, _file),
    (lambda argument: argument.startswith("@"), _list_file),
    (glob.has_magic, _pattern),
)


def _nothing(argument: str, passed_over: int, linked: Sequence[str]) -> str:
    if linked:
        return (
            f"No images in {argument!r}, only links to folders, which are not followed. "
            f"Give the folders themselves, such as {os.path.realpath(linked[0])!r}."
        )
    if passed_over:
        return (
            f"No images in {argument!r}: {passed_over} files have no image extension or do not match `include`. "
            "Take every file with `include=*`."
        )
    return f"No images in {argument!r}. Give image files, folders, patterns, @lists or - for paths on standard input."
