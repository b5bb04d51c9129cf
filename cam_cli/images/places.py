"""Expands each kind of argument (file, folder, pattern, tar, address, list, stdin) to entries that may be images."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import PurePath

from ..errors import CamxError
from ..folders import walk
from ..regular_files import TABLE_BYTES, open_text
from ..run_layout import JOURNAL, RESULT_FOLDERS, TRACKER_FOLDERS
from ..sentences import counted
from .deep_patterns import fits
from .entry import UNKNOWN_STATE, Entry
from .filters import Filters, has_image_name, matches
from .label_table import NO_TRUTH, Truth, truth_of
from .remote import is_remote, listed
from .tables import Row
from .tars import is_tar, read_members
from .typed_tables import is_typed, table_rows

#: Longest path in a list in bytes.
_LONGEST_LINE = 1 << 16


def expand(argument: str, filters: Filters) -> Iterator[Entry]:
    """Entries of one argument. A tar file is replaced by its images.

    Raises `CamxError` for an argument that names nothing.
    """
    for applies, found in SOURCES:
        if applies(argument):
            for entry in found(argument, filters):
                yield from _in_tar(entry, filters) if is_tar(entry.path) and not _aside(entry) else (entry,)
            return
    raise CamxError(f"There is no file or folder {argument!r}. Check the path; a pattern needs one of * ? [.")


def holds_results(folder: str) -> bool:
    """Whether a folder holds a training, or overlays, heatmaps … of a run, which are never inputs."""
    parent, name = os.path.split(folder)
    if name in RESULT_FOLDERS | TRACKER_FOLDERS and os.path.isfile(os.path.join(parent, JOURNAL)):
        return True
    return os.path.isfile(os.path.join(folder, "training-state.pt"))


def _aside(entry: Entry) -> bool:
    return bool(entry.passed_over or entry.linked or entry.lost)


def _in_tar(entry: Entry, filters: Filters) -> Iterator[Entry]:
    """Images of a tar file; of a broken one those before the damage, and the file itself as a failing row.

    An archive may have several files of one name: names of later ones include their position.
    """
    found, problem = read_members(entry.path)
    version = entry.listed_state[1] if entry.listed_state else _changed(entry.path)
    names, links = set[str](), 0
    for member in found:
        named = matches(member.name, filters.include) if filters.include else has_image_name(member.name)
        if not member.stored:
            links += named
            continue
        suffix = f"#{member.offset}" if member.name in names else ""
        names.add(member.name)
        folder = os.path.basename(os.path.dirname(member.name))
        yield entry._replace(
            absolute=f"{entry.absolute}/{member.name}{suffix}",
            folder_label="" if folder == ".." else folder,
            truth=Truth((member.label,)) if member.label else entry.truth,
            passed_over=not named,
            span=(member.offset, member.size),
            listed_state=(member.size, version),
        )
    if links:
        reason = f"{counted(links, 'image')} in it, links or sparse files, cannot be read there"
        yield entry._replace(passed_over=True, lost=reason)
    if problem:
        # Reads only the first block: the file may be as large as a disk.
        yield entry._replace(lost=problem, span=(0, 512), listed_state=(512, version))


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return 0


def _remote(argument: str, filters: Filters) -> Iterator[Entry]:
    """Lists an address: a file of any name, images below a folder, or those of a pattern."""
    files = listed(argument)
    alone = [file.url for file in files] == [argument]
    pattern = re.search(r"[*?\[]", argument) if not argument.startswith("http") else None
    root = argument[: pattern.start()] if pattern else argument
    root = _folder_of(root) if alone or pattern else root.rstrip("/")
    results = {file.url.removesuffix(JOURNAL) for file in files if file.url.endswith(f"/{JOURNAL}")}
    for file in files:
        inside = file.url.removeprefix(root).strip("/")
        if any(file.url.startswith(f"{out}{name}/") for out in results for name in RESULT_FOLDERS):
            continue
        if file.lost:
            yield Entry(file.url, file.url, root, "", passed_over=True, lost=f"it cannot be listed ({file.lost})")
            continue
        named = matches(inside, filters.include) if filters.include else alone or has_image_name(path_of(file.url))
        first, below, _ = inside.partition("/")
        label = first if below else root.rpartition("/")[2]
        passed_over = not named and not is_tar(file.url)
        yield Entry(file.url, file.url, root, label, passed_over=passed_over, listed_state=(file.size, file.version))


def _folder_of(url: str) -> str:
    """Address up to its last slash, at least with its host."""
    folder = url.rpartition("/")[0]
    return folder if is_remote(folder) and not folder.endswith(":/") else url


def path_of(url: str) -> str:
    """Address without its query."""
    return url.partition("?")[0] if url.startswith("http") else url


def _stdin(_: str, filters: Filters) -> Iterator[Entry]:
    try:
        data = sys.stdin.buffer.read(TABLE_BYTES + 1) if sys.stdin else b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CamxError(f"Standard input cannot be read: {reason}. Give paths there, one per line, for -.") from error
    if len(data) > TABLE_BYTES:
        raise CamxError(f"Standard input has more than {TABLE_BYTES:,} bytes of paths. Give some of them at a time.")
    separator = rb"[^\0]+" if b"\0" in data else rb"[^\n]+"
    for found in re.finditer(separator, data):
        line = found[0] if separator == rb"[^\0]+" else found[0].rstrip(b"\r")
        if line:
            yield _listed_entry(_checked(os.fsdecode(line), "Standard input"), os.curdir)


def _list_file(argument: str, filters: Filters) -> Iterator[Entry]:
    path, columns = argument[1:], filters.columns
    folder = os.path.dirname(path) or os.curdir
    try:
        if is_typed(path) or path.lower().endswith((".csv", ".tsv")):
            rows = table_rows(path, columns)
        else:
            with open_text(path) as file:
                lines = iter(lambda: file.readline(_LONGEST_LINE), "")
                rows = [Row({columns.image_key: line.rstrip("\r\n")}, number) for number, line in enumerate(lines, 1)]
    except OSError as error:
        raise CamxError(
            f"The list {path!r} cannot be read: {error.strerror}. Give @FILE with one path per line."
        ) from error
    for row in rows:
        if name := row[columns.image_key]:
            yield _listed_entry(_checked(name, f"The list {path!r}"), folder, truth_of(row, columns))


def _checked(path: str, what: str) -> str:
    if len(path) >= _LONGEST_LINE - 2:
        raise CamxError(f"{what} has a line of {_LONGEST_LINE:,} and more characters, which is no path. Check it.")
    return path


def _listed_entry(path: str, folder: str, truth: Truth = NO_TRUTH) -> Entry:
    """Entry of a path in a list, relative to the list or else to the working folder.

    A missing file becomes a failed row.
    """
    if is_remote(path):
        root = _folder_of(path_of(path))
        return Entry(path, path, root, root.rpartition("/")[2], truth, listed_state=UNKNOWN_STATE)
    beside = os.path.join(folder, path)
    if not os.path.lexists(beside) and os.path.lexists(path):
        beside, folder = path, os.curdir
    absolute, root = os.path.abspath(beside), os.path.abspath(folder)
    parent = os.path.dirname(absolute)
    inside = absolute.startswith(root.rstrip(os.sep) + os.sep)
    return Entry(os.path.normpath(beside), absolute, root if inside else parent, os.path.basename(parent), truth)


def _folder(argument: str, filters: Filters) -> Iterator[Entry]:
    root = os.path.abspath(argument)

    def enter(path: str) -> bool:
        return not _hidden(path) and not holds_results(path)

    for inside, kind, reason in walk(argument, enter):
        if _hidden(inside):
            continue
        path = os.path.join(argument, inside)
        # Shares one string if possible: there may be a million of them.
        absolute = path if argument == root else os.path.join(root, inside)
        first, below, _ = inside.partition(os.sep)
        label = sys.intern(first if below else os.path.basename(root))
        named = filters.takes(inside.replace(os.sep, "/"))
        if kind == "file":
            yield Entry(path, absolute, root, label, passed_over=not named)
        elif kind == "linked":
            yield Entry(path, absolute, root, "", linked=True)
        elif kind == "unlisted" or named:
            yield Entry(path, absolute, root, "", passed_over=True, lost=_reason(kind, reason))


def _hidden(path: str) -> bool:
    name = os.path.basename(path)
    return name.startswith(".") and name != os.curdir


def _pattern(argument: str, filters: Filters) -> Iterator[Entry]:
    root = argument
    while glob.has_magic(root):
        root = os.path.dirname(root)
    top, root = root or os.curdir, os.path.abspath(root or os.curdir)
    if "**" in argument:
        yield from _deep_pattern(argument, top, root)
        return
    for path in sorted(glob.iglob(argument)):
        absolute = os.path.abspath(path)
        if os.path.isdir(path):
            yield from _folder(path, filters)
        elif os.path.isfile(path) and not any(map(holds_results, map(str, PurePath(absolute).parents))):
            yield Entry(path, absolute, root, os.path.basename(os.path.dirname(absolute)))


def _deep_pattern(argument: str, top: str, root: str) -> Iterator[Entry]:
    """Files that match a pattern with `**`.

    Lists links to folders without following them: circular links would be an endless tree.
    """
    wanted = PurePath(os.path.relpath(argument, top)).parts if top != os.curdir else PurePath(argument).parts
    hidden = any(part.startswith(".") for part in wanted)
    results = any(map(holds_results, map(str, (PurePath(root), *PurePath(root).parents))))
    for inside, kind, reason in walk(top, lambda path: (hidden or not _hidden(path)) and not holds_results(path)):
        path = inside if top == os.curdir else os.path.join(top, inside)
        absolute = os.path.join(root, inside)
        if kind == "file" and fits(inside.split(os.sep), wanted) and not results:
            yield Entry(path, absolute, root, os.path.basename(os.path.dirname(absolute)))
        elif kind == "linked" and not _hidden(inside):
            yield Entry(path, absolute, root, "", linked=True)
        elif kind == "unlisted":
            yield Entry(path, absolute, root, "", passed_over=True, lost=_reason(kind, reason))


def _reason(kind: str, reason: str) -> str:
    if kind == "unlisted":
        return f"it cannot be listed ({reason})"
    return f"it is no file ({reason or 'a pipe, a device or a link that leads nowhere'})"


def _file(argument: str, filters: Filters) -> Iterator[Entry]:
    absolute = os.path.abspath(argument)
    folder = os.path.dirname(absolute)
    yield Entry(argument, absolute, folder, os.path.basename(folder))


#: Sample images, which the package draws itself.
DEMO = "demo:"


def _demo(argument: str, filters: Filters) -> Iterator[Entry]:
    from ..demo.samples import sample_folder

    for entry in _folder(sample_folder(), filters):
        # Their names are the classes that are drawn in them.
        classes = os.path.splitext(os.path.basename(entry.path))[0].split("-and-")
        yield entry if entry.passed_over else entry._replace(truth=Truth(tuple(classes)))


#: Kinds of arguments in order: (whether it applies, function that lists files).
SOURCES: tuple[tuple[Callable[[str], bool], Callable[[str, Filters], Iterator[Entry]]], ...] = (
    (lambda argument: argument == "-", _stdin),
    (lambda argument: argument == DEMO, _demo),
    (is_remote, _remote),
    (os.path.isdir, _folder),
    (os.path.lexists, _file),
    (lambda argument: argument.startswith("@"), _list_file),
    (glob.has_magic, _pattern),
)
