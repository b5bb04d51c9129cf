"""Images with which an encoder compares others: one for all of them, or one for each by a table of pairs."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...errors import CamxError, UnreadableImage
from ...images.decode import read
from ...images.labels import Column
from ...images.listing import Source, find
from ...images.picture import Picture, Unreadable, load
from ...images.remote import is_remote
from ...models.network import Network
from ...models.tasks import SIMILARITY
from ..tracing.scored_network import ScoredNetwork, scored_network
from .batches import Runner
from .targets import PAIRED, Target


@dataclass(frozen=True)
class Reference:
    """An image, a folder or a table of pairs, at a place as the user wrote it. digest: SHA-256 of its files."""

    place: str
    digest: str


class PairTable:
    """A table with the reference of each image, in the column `reference`; relative paths begin at the table.

    Raises `CamxError` for a table without that column, or without a reference.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._column = Column(path, PAIRED)
        self.references = tuple(sorted(set(filter(None, self._column.values))))
        if not self.references:
            raise CamxError(f"`targets=like:{path}`: its column {PAIRED!r} is empty.", field="targets")

    def of(self, source: Source) -> str:
        """Returns the reference of an image, as the table writes it; "" without one."""
        return self._column.of(source)

    def place(self, reference: str) -> str:
        """Returns the path of a reference."""
        return reference if is_remote(reference) else os.path.join(os.path.dirname(self.path), reference)

    @property
    def digest(self) -> str:
        """SHA-256 of the images of the table with the contents of their references, in hexadecimal."""
        contents = {one: _content(self.place(one)) for one in self.references}
        sha = hashlib.sha256()
        for image, reference in sorted(self._column.rows.items()):
            sha.update(f"{image}\0{contents.get(reference, '')}\n".encode("utf-8", "surrogateescape"))
        return sha.hexdigest()


@dataclass
class References:
    """All references of an encoder: row r of the matrix R×D of unit embeddings is that of `names[r]`.

    Rows of pairs are embedded when an image first needs them. targets: the reference of each `like:` target. tables: by
    path. places: the path of each reference of a pair, by its row. rows: of each (table, reference). embedded: the rows
    that hold their own embedding. failed: why a reference has none, by its row.
    """

    names: tuple[str, ...] = ()
    targets: tuple[Reference, ...] = ()
    tables: Mapping[str, PairTable] = field(default_factory=dict)
    places: Mapping[int, str] = field(default_factory=dict)
    rows: Mapping[tuple[str, str], int] = field(default_factory=dict)
    embedded: set[int] = field(default_factory=set)
    failed: dict[int, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def chosen(
        self, pictures: Iterable[Picture], targets: Sequence[Sequence[Target]], runner: Runner, network: nn.Module
    ) -> tuple[list[Sequence[Target]], list[str]]:
        """Returns the targets of each image, with its own reference from a table, and why an image has none, or "".

        network: the encoder of this lane, with the matrix of these references.
        """
        if not self.tables:
            return list(targets), [""] * len(targets)
        found, problems = list[Sequence[Target]](), list[str]()
        for picture, own in zip(pictures, targets, strict=True):
            pairs = [self._pair(picture.source, one, runner, network) for one in own]
            found.append([target for target, _ in pairs])
            problems.append(next(filter(None, (problem for _, problem in pairs)), ""))
        return found, problems

    def _pair(self, source: Source, target: Target, runner: Runner, network: nn.Module) -> tuple[Target, str]:
        table = self.tables.get(target.name) if target.kind == "like" else None
        if table is None:
            return target, ""
        reference = table.of(source)
        if not reference:
            return Target("class", name="0"), f"no row in {table.path!r} gives it a reference"
        row = self.rows[table.path, reference]
        self._embed(row, runner, network)
        reason = self.failed.get(row, "")
        return Target("class", name=str(row)), f"its reference {reference!r} cannot be read: {reason}" if reason else ""

    def _embed(self, row: int, runner: Runner, network: nn.Module) -> None:
        """Fills the row of a reference, once."""
        assert isinstance(network, ScoredNetwork)
        assert network.references is not None
        with self._lock:
            if row in self.embedded or row in self.failed:
                return
            try:
                embedding = embedded(self.places[row], runner, network.with_references(None))[0]
            except UnreadableImage as error:
                self.failed[row] = str(error)
                return
            network.references[row] = torch.nn.functional.normalize(embedding, dim=0)
            self.embedded.add(row)


def network_for(
    network: Network, runner: Runner, picture: Tensor, targets: Sequence[Target]
) -> tuple[nn.Module, References]:
    """Returns the network with scores of its task as its output (see `scored_network`), and the references.

    picture: 1×C×H×W, normalised. The scores of an encoder are the cosines to all references. Raises `CamxError` for a
    reference of all images that cannot be read, and for a table without a readable one.
    """
    scored = scored_network(runner.module, picture, network.scores, network.task)
    places = list(dict.fromkeys(target.name for target in targets if target.kind == "like"))
    if network.task != SIMILARITY or not isinstance(scored, ScoredNetwork) or not places:
        return scored, References()
    tables = {place: PairTable(place) for place in places if Target("like", name=place).paired}
    single = {place: _single(place, runner, scored) for place in places if place not in tables}
    rows = {pair: row for row, pair in enumerate(_pairs(tables), len(single))}
    paths = {row: tables[table].place(reference) for (table, reference), row in rows.items()}
    found = References(
        names=(*single, *(reference for _, reference in rows)),
        targets=tuple(Reference(p, tables[p].digest if p in tables else single[p][1]) for p in places),
        tables=tables,
        places=paths,
        rows=rows,
        embedded=set(range(len(single))),
    )
    known = [embedding for embedding, _ in single.values()] or [_first(found, runner, scored)]
    # A row that is not embedded yet repeats another one, so that every score has a gradient.
    matrix = torch.stack([*known[: len(single)], *[known[0]] * len(rows)])
    return scored.with_references(matrix), found


def _pairs(tables: Mapping[str, PairTable]) -> list[tuple[str, str]]:
    return [(path, reference) for path, table in tables.items() for reference in table.references]


def _single(place: str, runner: Runner, scored: nn.Module) -> tuple[Tensor, str]:
    try:
        return embedded(place, runner, scored)
    except UnreadableImage as error:
        # The error of a place without an image is a sentence that ends with what to give.
        complete = str(error).endswith(".")
        raise CamxError(
            f"`targets=like:{place}`: {error}" + "." * (not complete),
            "" if complete else "Give another image.",
            field="targets",
        ) from error


def _first(references: References, runner: Runner, scored: nn.Module) -> Tensor:
    """Returns the embedding of the first reference of a table that can be read."""
    reasons = []
    for row, place in references.places.items():
        try:
            return embedded(place, runner, scored)[0]
        except UnreadableImage as error:
            reasons.append(f"{references.names[row]!r}: {error}")
    table = next(iter(references.tables))
    raise CamxError(f"`targets=like:{table}`: no reference can be read ({reasons[0]}).", field="targets")


def embedded(place: str, runner: Runner, scored: nn.Module) -> tuple[Tensor, str]:
    """Returns the sum of the unit embeddings D of an image, or of those of a folder, and the SHA-256 of the files.

    Raises `UnreadableImage` for an image or a folder without an embedding.
    """
    total, sha = torch.zeros((), device=runner.device), hashlib.sha256()
    try:
        sources = find([place]).sources
    except CamxError as error:
        raise UnreadableImage(str(error)) from error
    for source in sources:
        picture = load(source, runner.network.preprocessing)
        if not isinstance(picture, Picture):
            reason = picture.reason if isinstance(picture, Unreadable) else "it is too large"
            raise UnreadableImage(f"{source.key!r} cannot be read: {reason}")
        with torch.no_grad(), runner.autocast():
            embedding = scored(runner.inputs([picture])).float()
        total = total + torch.nn.functional.normalize(embedding, dim=1)[0]
        sha.update(picture.digest.encode())
    if not bool(torch.isfinite(total).all()) or not bool(total.any()):
        raise UnreadableImage("its embedding is zero or not finite")
    return total, sha.hexdigest()


def _content(place: str) -> str:
    """Returns the SHA-256 of the files of a reference, or why it has none."""
    sha = hashlib.sha256()
    try:
        for source in find([place]).sources:
            sha.update(hashlib.sha256(read(source.path, source.span)).digest())
    except (CamxError, UnreadableImage) as error:
        return str(error)
    return sha.hexdigest()
