"""`Task`: a command over images, as a run sees it. Every command has one class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from ..cams.tracing.replay import StepCallback
from ..images.listing import Inputs, Source
from ..images.picture import Decodable, Picture, TooLarge, Unreadable
from ..outputs.renderer import Rendered
from ..outputs.rows import ImageRow
from .job import RunOptions
from .progress import Engine
from .relabel import Naming


class Result(Protocol):
    """Result of an engine for one image, with its image."""

    @property
    def picture(self) -> Picture: ...


J = TypeVar("J", bound=RunOptions)
E = TypeVar("E", bound=Engine)
R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Work(Generic[R]):
    """Work of the worker processes on an image, before and after the network; both functions can be pickled.

    load: decodes it (see `Decoder`). render: draws its result.
    """

    load: Callable[..., Decodable | Unreadable | TooLarge]
    render: Callable[[R], Rendered]


class Table(NamedTuple):
    """A file of OUT that derives from the journal: its name, and its pieces from the rows. more: others beside it."""

    name: str
    render: Callable[[Iterable[ImageRow]], Iterator[bytes]]
    more: tuple[tuple[str, Callable[[Iterable[ImageRow]], Iterator[bytes]]], ...] = ()


class Task(Protocol[J, E, R]):
    """One command over images. It can be pickled: whatever carries a run to other processes takes any task."""

    @property
    def job(self) -> J: ...

    @property
    def device(self) -> str:
        """Where the network runs, as the user asked for it: `auto`, a device, or several with commas."""
        ...

    @property
    def table(self) -> Table:
        """The table of all images."""
        ...

    def with_job(self, job: J) -> Task[J, E, R]:
        """Task of the same command with another job."""
        ...

    def on_device(self, device: str) -> Task[J, E, R]:
        """Task of the same job on another device."""
        ...

    def find(self) -> Inputs:
        """The images of the job, with their labels. Raises `CamxError` where there are none."""
        ...

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> E:
        """Loads the network for a run over so many images.

        on_step: called with (steps done, steps in all) by methods that take many forwards. Raises `CamxError` for a
        model, layer, device or method that cannot be.
        """
        ...

    def fingerprint(self, engine: E, base: str) -> dict[str, Any]:
        """Everything that the results depend on, key by key. `base`: the folder that names of images begin in."""
        ...

    def run_batch(self, engine: E, images: Sequence[Decodable]) -> Sequence[R]:
        """One result per image, in order."""
        ...

    def work(self, engine: E, images: int) -> Work[R]:
        """The work of the worker processes in a run over so many images."""
        ...

    def naming(self, engine: E) -> Naming | None:
        """The names of the engine's classes, for `relabel`; None for a command whose rows have none."""
        ...

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        """A finished row with the label that its source and the names that the classes have now, the same one if they
        are the same; None where the image must be done again."""
        ...

    def warnings(self, engine: E, inputs: Inputs) -> Iterable[str]:
        """Sentences that the user should read before the first image."""
        ...

    def cost(self, engine: E, images: int) -> str:
        """Returns a line on the forwards of each image and the time of so many; "" where an image takes one forward."""
        ...


AnyTask = Task[Any, Any, Any]
