"""Flags declared on the fields of dataclasses: declarations, parsing, errors and records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer

from cam_cli.errors import CamxError
from cam_cli.options import BEHAVIOUR, FILLED, OUTPUT, Flag, check, options_of, results
from cam_cli.parsers import Amount, byte_count, key_value
from cli.bind import bind
from cli.config import CONFIG
from cli.names import Names

SHARED = Flag("Seed.", min=0, results=True)


@dataclass(frozen=True)
class Inner:
    """A part of a job."""

    size: Annotated[int | Literal["auto"], Flag("Size.", min=1, results=True)] = 3
    seed: Annotated[int, SHARED] = 0
    kind: Annotated[Literal["box", "mask"], Flag("Kind.", results=True)] = "box"

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Job:
    """One flag of every kind."""

    first: Annotated[str, Flag("One word.", argument=True)]
    rest: Annotated[tuple[Path, ...], Flag("Several words.", argument=True, metavar="FILE")] = ()
    inner: Inner = Inner()
    seed: Annotated[int, SHARED] = 0
    fail_if: Annotated[tuple[str, ...], Flag("Gates. Repeatable.", repeatable=True, lines=True, panel=OUTPUT)] = ()
    by: Annotated[tuple[str, ...], Flag("A list with commas.")] = ("class",)
    steps: Annotated[tuple[int, ...] | None, Flag("Numbers with commas.")] = None
    least: Annotated[Amount, Flag("N or P%.", parse=Amount.parse)] = Amount(5, percent=True)
    batch: Annotated[int | None, Flag("Images, or auto.", none="auto", min=1, short="-b")] = None
    share: Annotated[float, Flag("A share of [0, 1].", min=0, max=1)] = 0.5
    report: Annotated[bool, Flag("On.")] = True
    cache: Annotated[bool, Flag("On, and only to switch off.", only_off=True)] = True
    partial: Annotated[bool, Flag("Off.", short="-p")] = False
    ema: Annotated[bool | None, Flag("Undecided.")] = None
    order: Annotated[str, Flag("Order, not that of `by`.", name="sort-by", choices=("name", "time"))] = "name"
    args: Annotated[Mapping[str, Any], Flag("KEY=VALUE.", name="arg", repeatable=True, parse=key_value)] = field(
        default_factory=dict
    )
    command: Annotated[str, FILLED] = ""
    origins: Annotated[Mapping[str, str], FILLED] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Run:
    """Flags beside the job."""

    config: Annotated[str | None, CONFIG] = None
    quiet: Annotated[bool, Flag("Quiet.", panel=BEHAVIOUR)] = False


@dataclass(frozen=True)
class Twice:
    """Another flag of the same name."""

    seed: Annotated[int, Flag("Another seed.")] = 1


Call = Callable[..., Job]


@pytest.fixture
def call() -> Call:
    """The job of a command line."""
    given: list[Job] = []

    def command(job: Job, run: Run) -> int:
        """Do it, [sic]."""
        given.append(job)
        return 0

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(bind(command))

    def called(*words: object) -> Job:
        given.clear()
        app(args=[str(word) for word in words], standalone_mode=False)
        return given[0]

    return called


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("x", {}),
        ("x a b", {"rest": (Path("a"), Path("b"))}),
        ("x --size auto", {"inner": Inner("auto")}),
        ("x --size 7 --kind mask", {"inner": Inner(7, kind="mask")}),
        ("x --seed 4", {"inner": Inner(seed=4), "seed": 4}),
        ("x --fail-if a>1 --fail-if b,c --fail-if a>1", {"fail_if": ("a>1", "b,c")}),
        ("x --by age,size", {"by": ("age", "size")}),
        ("x --by age --by size,class", {"by": ("age", "size", "class")}),
        ("x --steps 1,2", {"steps": (1, 2)}),
        ("x --steps 1,2 --steps 3", {"steps": (1, 2, 3)}),
        ("x --least 9", {"least": Amount(9)}),
        ("x --least 2.5%", {"least": Amount(2.5, percent=True)}),
        ("x -b 8", {"batch": 8}),
        ("x -b auto", {}),
        ("x --share 1", {"share": 1.0}),
        ("x --no-report --no-cache -p", {"report": False, "cache": False, "partial": True}),
        ("x --no-ema", {"ema": False}),
        ("x --ema --sort-by time", {"ema": True, "order": "time"}),
        ("x --arg a=1 --arg b=none", {"args": {"a": 1, "b": None}}),
    ],
)
def test_words_become_fields(call: Call, words: str, expected: dict[str, Any]) -> None:
    given = call(*words.split())
    assert given == Job(**{"first": "x", "command": given.command, **expected})
    assert given.command.startswith("camx")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--size much", "--size 'much': give a whole number or auto."),
        ("--size 0", "--size 0 is out of range. Give a number from 1."),
        ("--share 1.5", "--share 1.5 is out of range. Give a number from 0 to 1."),
        ("--share nan", "--share nan is out of range. Give a number from 0 to 1."),
        ("--share x", "--share 'x': give a number from 0 to 1."),
        ("-b x", "--batch 'x': give a whole number from 1, or auto."),
        ("-b 0", "--batch 0 is out of range. Give a number from 1."),
        ("--kind boxes", "--kind 'boxes': give box or mask."),
        ("--sort-by nam", "--sort-by 'nam' is unknown. Did you mean name? Give one of name, time."),
        ("--by ,", "--by ',': give at least one name, or leave it out for the default."),
        ("--steps 1,a", "--steps '1,a': give a whole number."),
        ("--least 101%", "--least '101%': give a number of images, or a percentage such as 5%."),
        ("--arg a", "--arg 'a': give KEY=VALUE, such as pad_type=same."),
    ],
)
def test_what_a_flag_does_not_allow_is_refused_by_its_name(call: Call, words: str, message: str) -> None:
    with pytest.raises(CamxError) as error:
        call("x", *words.split())
    assert str(error.value) == message


def test_the_error_of_a_value_names_its_origin(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.toml").write_text("sort-by = 'size'\n")
    with pytest.raises(CamxError, match=r"Give one of name, time. \(--sort-by is set by .*c\.toml, line 1\.\)"):
        call("x", "--config", tmp_path / "c.toml")
    monkeypatch.setenv("CAMX_SHARE", "2")
    with pytest.raises(CamxError, match=r"--share 2.0 is out of range.* \(--share is set by CAMX_SHARE\.\)"):
        call("x")


def test_the_job_knows_where_its_values_come_from(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "c.toml"
    config.write_text('by = ["age", "size"]\nsize = 9\nshare = 0.25\nbatch = 3\nno-ema = true\n')
    monkeypatch.setenv("CAMX_SHARE", "0.75")
    monkeypatch.setenv("CAMX_BATCH", "4")
    job = call("x", "--batch", "5", "--config", config)
    assert (job.by, job.inner.size, job.share, job.batch, job.ema) == (("age", "size"), 9, 0.75, 5, False)
    assert {name: job.origins[name] for name in ("first", "by", "size", "share", "batch", "seed")} == {
        "first": "flag",
        "by": f"config {config}",
        "size": f"config {config}",
        "share": "environment",
        "batch": "flag",
        "seed": "default",
    }
    assert set(job.origins) == {option.name for option in options_of(Job)}


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("CAMX_BY", "age group,size", {"by": ("age group", "size")}),
        ("CAMX_STEPS", "1, 2", {"steps": (1, 2)}),
        ("CAMX_FAIL_IF", "a > 1", {"fail_if": ("a > 1",)}),
        ("CAMX_FAIL_IF", "a > 1\n\nb < 2\n", {"fail_if": ("a > 1", "b < 2")}),
        ("CAMX_ARG", "a=1 b=2", {"args": {"a": 1, "b": 2}}),
    ],
)
def test_a_variable_holds_a_list_or_several_words(
    call: Call, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, expected: dict[str, Any]
) -> None:
    monkeypatch.setenv(variable, text)
    given = call("x")
    assert given == Job(**{"first": "x", "command": given.command, **expected})


def test_a_mapping_may_be_a_table_of_the_config_and_nothing_else(call: Call, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[arg]\na = 2\nb = 'x'\n")
    assert call("x", "--config", config).args == {"a": 2, "b": "x"}
    config.write_text("[by]\na = 2\n")
    with pytest.raises(
        CamxError, match="'by' is a table. Write it as by = VALUE above all tables. Only arg can be a table"
    ):
        call("x", "--config", config)


def test_the_library_refuses_the_same_values_by_the_names_of_fields() -> None:
    with pytest.raises(CamxError, match="`size` 0 is out of range") as error:
        Inner(0)
    assert error.value.field == "size"
    with pytest.raises(CamxError, match="`order` 'size' is unknown"):
        Job("x", order="size")


def test_what_results_depend_on_is_marked_and_read() -> None:
    assert results(Inner("auto", 2)) == {"size": "auto", "seed": 2, "kind": "box"}
    assert results(Job("x")) == {"seed": 0}


def test_fields_in_a_sentence_are_shown_as_flags() -> None:
    names = Names(options_of(Job))
    said = "`order` and `sort_by=time`, `report=False`, `report`, `ema=True`, `cache=False`, `rest`, `first`, `none`"
    assert (
        names.in_flags(said)
        == "--sort-by and --sort-by time, --no-report, --report, --ema, --no-cache, FILE, FIRST, `none`"
    )


def test_two_flags_of_one_name_are_a_mistake_of_the_programmer() -> None:
    def command(job: Inner, run: Twice) -> int:
        return 0

    with pytest.raises(TypeError, match="two flags of command are called seed"):
        bind(command)


@pytest.mark.parametrize("text", ["4GB", "500MB", "0", "7"])
def test_bytes_are_written_as_they_are_read(text: str) -> None:
    assert str(byte_count(text)) == text


def test_a_share_of_a_whole() -> None:
    assert [Amount.parse("3").of(10), Amount.parse("5%").of(200), Amount.parse("0").of(7)] == [3, 10, 0]
