"""Lists the images of a run: files, folders, globs, tar files, addresses, `@lists` and standard input."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..errors import CamxError
from ..redaction import public_address
from ..sentences import counted
from .entry import Entry
from .filters import Filters, matches
from .keys import distinct_key, folded, image_key
from .places import expand
from .remote import is_remote

#: Number of names that a sentence lists.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Source:
    """One image of a run.

    key: its name in CSV, journal and overlay path: the path relative to the deepest common folder of all sources, with
    `/`; never absolute, never `..`, unique in a run.
    folder_label: name of its class folder. label: true class from a list or table, or "". more_labels: further true
    classes. attributes: (name, text) of the other columns of that table, without empty ones.
    span: offset and size of its bytes in the tar file at `path`. listed_state: of a remote file, its size in the
    listing and a number that changes with its content. apart: some file systems treat another key of the run as the
    same name, so its result files get distinct names. frame: number of a frame in a file with several, from 1; 0 is the
    first one of a file that counts as one image. mask: path of the mask of its pixels that count, or "".
    """

    key: str
    path: str
    label: str = ""
    folder_label: str = ""
    span: tuple[int, int] | None = None
    listed_state: tuple[int, int] | None = None
    more_labels: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    apart: bool = False
    frame: int = 0
    mask: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """All true classes; empty without a label."""
        return (self.label, *self.more_labels) if self.label else ()


@dataclass(frozen=True)
class Inputs:
    """Sources in input order.

    base: absolute folder of their keys. passed_over: number of files in folders that are no images by their names.
    linked: links to folders, which are not followed. notes: sentences for the user about unreadable places and about
    missing, doubtful or unused labels.
    """

    sources: tuple[Source, ...]
    base: str
    passed_over: int = 0
    linked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Aside:
    """Files and links that are no images."""

    passed_over: int = 0
    linked: list[str] = field(default_factory=list)
    #: Reasons for places that could not be listed: their counts, and some examples.
    lost: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        if entry.linked:
            self.linked.append(entry.path)
        elif entry.lost:
            self.lost[entry.lost] += 1
            some = self.examples.setdefault(entry.lost, [])
            if len(some) < _NAMED:
                some.append(entry.path)
        elif entry.passed_over:
            self.passed_over += 1

    def join(self, other: _Aside) -> None:
        self.passed_over += other.passed_over
        self.linked += other.linked
        self.lost += other.lost
        for reason, some in other.examples.items():
            self.examples[reason] = [*self.examples.get(reason, []), *some][:_NAMED]

    def notes(self) -> Iterator[str]:
        for reason, count in self.lost.items():
            more = f" and {count - len(self.examples[reason])} more" * (count > len(self.examples[reason]))
            yield f"Left out, since {reason}: {', '.join(self.examples[reason])}{more}."


def find(arguments: Sequence[str], filters: Filters = Filters(), *, limit: int | None = None) -> Inputs:
    """Finds all images of the arguments, in their order, folders sorted, each file once.

    Places that cannot be listed are left out, with a note. Raises `CamxError` for an argument without an image, and if
    `exclude` leaves none.
    """
    found: dict[str, Entry] = {}
    aside = _Aside()
    for argument in arguments:
        images, own = 0, _Aside()
        for entry in expand(argument, filters):
            own.add(entry)
            if entry.linked or entry.passed_over:
                continue
            images += not entry.lost
            known = found.setdefault(entry.absolute, entry)
            if entry.truth != known.truth:
                found[entry.absolute] = known._replace(truth=known.truth.joined(entry.truth))
        if not images and not (argument.startswith("@") and own.lost):
            raise CamxError(_no_images(argument, own))
        aside.join(own)
    base, start = _common({entry.root for entry in found.values()})
    keyed: dict[str, Source] = {}
    for absolute, entry in found.items():
        name = _public(absolute)[start:].replace(os.sep, "/")
        key = distinct_key(image_key(name), absolute, keyed)
        keyed[key] = _source(entry, key)
    sources = _with_similar_keys_apart(list(keyed.values()))
    found.clear()
    kept = [source for source in sources if not matches(source.key, filters.exclude)] if filters.exclude else sources
    if not kept:
        raise CamxError(f"`exclude` leaves no image: {', '.join(filters.exclude)}. Give narrower patterns.")
    return Inputs(tuple(kept[:limit]), base, aside.passed_over, tuple(aside.linked), tuple(aside.notes()))


def _source(entry: Entry, key: str) -> Source:
    label, *more = entry.truth.labels or ("",)
    more_labels, attributes = tuple(more), entry.truth.attributes
    return Source(key, entry.path, label, entry.folder_label, entry.span, entry.listed_state, more_labels, attributes)


def _with_similar_keys_apart(sources: list[Source]) -> list[Source]:
    """Marks sources whose keys differ only in case or Unicode form."""
    count = Counter(folded(source.key) for source in sources)
    if len(count) == len(sources):
        return sources
    return [replace(source, apart=True) if count[folded(source.key)] > 1 else source for source in sources]


def _public(absolute: str) -> str:
    """Path or address without passwords and tokens."""
    return public_address(absolute) if is_remote(absolute) else absolute


def _common(roots: set[str]) -> tuple[str, int]:
    """Deepest common folder, and the number of characters of a path before the key."""
    places = {root.partition("://")[0] if is_remote(root) else "" for root in roots}
    if len(places) > 1:
        raise CamxError("The images lie in more than one place (files, s3://, …). Give sources of one place per run.")
    place = places.pop()
    if not place:
        base = os.path.commonpath(roots)
        return base, len(base.rstrip(os.sep)) + 1
    head = f"{place}://"
    inside = os.path.commonpath({"/" + _public(root).removeprefix(head).strip("/") for root in roots}).strip("/")
    return head + inside, len(head) + (len(inside) + 1 if inside else 0)


def _no_images(argument: str, aside: _Aside) -> str:
    if aside.lost:
        return f"No images in {argument!r}. " + " ".join(aside.notes())
    if aside.linked:
        return (
            f"No images in {argument!r}, only links to folders, which are not followed. "
            f"Give the folders themselves, such as {os.path.realpath(aside.linked[0])!r}."
        )
    if aside.passed_over:
        return (
            f"No images in {argument!r}: left out {counted(aside.passed_over, 'file')} without an image extension or "
            "not matched by `include`. Take every file with `include=*`."
        )
    return f"No images in {argument!r}. Give image files, folders, patterns, @lists or - for paths on standard input."
