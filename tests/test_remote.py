"""Remote images and results: an S3-compatible server on loopback, a web server that fails, tar files."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest

from cam_cli.errors import CamxError
from cam_cli.images import remote
from cam_cli.images.listing import Filters, find
from cam_cli.images.tars import members

from .conftest import TINY

Camx = Callable[..., int]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_PAUSE", 0.01)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, images: Path) -> Iterator[str]:
    """The address of a store with images below `pictures/`."""
    url = request.param
    if url.startswith("s3"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3_server"))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    there = remote.filesystem(url)
    there.mkdirs(url, exist_ok=True)
    for path in images.rglob("*.*"):
        there.pipe_file(f"{url}/pictures/{path.relative_to(images).as_posix()}", path.read_bytes())
    yield url
    there.rm(url, recursive=True)


both = pytest.mark.parametrize("store", ["memory://bucket", "s3://bucket"], indirect=True)
#: Both kinds of store; the second one mainly adds time.
both_at_leisure = pytest.mark.parametrize(
    "store", ["memory://bucket", pytest.param("s3://bucket", marks=pytest.mark.slow)], indirect=True
)


def names(url: str) -> set[str]:
    there = remote.filesystem(url)
    there.invalidate_cache()
    root = there._strip_protocol(url).rstrip("/") + "/"
    return {name.removeprefix(root) for name in there.find(root)}


@both
def test_images_and_results_in_a_store(
    camx: Camx, store: str, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*TINY, "--labels", "folder")
    assert camx("explain", images, *words, "-o", "here") == 0
    assert camx("explain", f"{store}/pictures", *words, "-o", f"{store}/out") == 0
    there = remote.filesystem(store)
    table = there.cat_file(f"{store}/out/predictions.csv")
    assert table == Path("here/predictions.csv").read_bytes()
    assert names(f"{store}/out") == {p.relative_to("here").as_posix() for p in Path("here").rglob("*") if p.is_file()}
    assert json.loads(there.cat_file(f"{store}/out/run.json"))["state"] == "finished"
    # Another machine continues with the missing image.
    shutil.rmtree("cache")
    there.rm_file(f"{store}/out/overlays/cat/0.jpg.png")
    capsys.readouterr()
    assert camx("explain", f"{store}/pictures/", *words, "-o", f"{store}/out/") == 0
    assert "6 of them earlier" in capsys.readouterr().out
    assert "overlays/cat/0.jpg.png" in names(f"{store}/out")
    assert camx("explain", f"{store}/pictures", *words, "-o", f"{store}/out", "--top-k", 2) == 2
    assert "top_k (5 → 2)" in capsys.readouterr().err


@both
def test_what_an_address_names(store: str) -> None:
    def keys(*arguments: str, **more: Any) -> list[str]:
        return [source.key for source in find(arguments, **more).sources]

    pictures = f"{store}/pictures"
    remote.filesystem(store).pipe_file(f"{pictures}/notes.txt", b"no image")
    assert keys(pictures)[:2] == ["cat/0.jpg", "cat/1.png"]
    assert len(keys(pictures)) == 7
    assert keys(f"{pictures}/cat/*.png") == ["1.png", "3.png"]
    assert keys(f"{pictures}/dog/4.jpg") == ["4.jpg"]
    assert keys(f"{pictures}/cat", f"{pictures}/dog/4.jpg")[-1] == "dog/4.jpg"
    assert keys(pictures, filters=Filters(exclude=("cat/*",))) == ["dog/4.jpg", "dog/5.png", "dog/6.jpg"]
    found = find([pictures])
    assert (found.passed_over, found.base) == (1, pictures)
    assert {source.folder_label for source in found.sources} == {"cat", "dog"}
    one = find([f"{pictures}/cat/0.jpg"]).sources[0].listed_state
    assert one
    assert found.sources[0].listed_state
    assert one[0] == found.sources[0].listed_state[0] > 0
    if store.startswith("s3"):  # the other store lists no time of change
        assert one[1] == found.sources[0].listed_state[1] > 1e18
    with pytest.raises(CamxError, match="nothing at"):
        find([f"{store}/nowhere"])
    with pytest.raises(CamxError, match="more than one place"):
        find([pictures, __file__])


@both
def test_results_in_a_store_are_no_images(store: str) -> None:
    there = remote.filesystem(store)
    there.pipe_file(f"{store}/pictures/run/manifest.jsonl", b"")
    there.pipe_file(f"{store}/pictures/run/overlays/a.png", b"x")
    there.pipe_file(f"{store}/pictures/overlays/b.png", b"x")
    keys = [source.key for source in find([f"{store}/pictures"]).sources]
    assert "overlays/b.png" in keys
    assert "run/overlays/a.png" not in keys


@pytest.mark.parametrize("store", ["memory://bucket"], indirect=True)
def test_one_colour_scale_of_images_in_a_store_and_in_a_tar_file(camx: Camx, store: str, images: Path) -> None:
    """The run reads them a second time, and their raw maps from the store."""
    words = (*TINY, "--scale", "run", "--no-report", "-q")
    assert camx("explain", images, *words, "-o", "here") == 0
    assert camx("explain", f"{store}/pictures", *words, "-o", f"{store}/out") == 0
    here = {path.relative_to("here").as_posix(): path.read_bytes() for path in Path("here/overlays").rglob("*.png")}
    there = remote.filesystem(store)
    assert len(here) == 7
    assert {name: there.cat_file(f"{store}/out/{name}") for name in here} == here
    packed(images, Path("a.tar"))
    assert camx("explain", "a.tar", *words, "-o", "tar") == 0
    assert sorted(path.read_bytes() for path in Path("tar/overlays").rglob("*.png")) == sorted(here.values())


def packed(folder: Path, path: Path) -> None:
    """A tar file in the format of WebDataset: each image with its label."""
    with tarfile.open(path, "w") as tar:
        for number, picture in enumerate(sorted(folder.rglob("*.*"))):
            tar.add(picture, f"./{number:04}{picture.suffix}")
            label = tarfile.TarInfo(f"./{number:04}.cls")
            label.size = 1
            tar.addfile(label, io.BytesIO(b"%d" % (number % 2)))


def test_tar_files_are_read_in_place(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed(images, Path("a.tar"))
    assert camx("explain", "a.tar", *TINY, "--max-failures", 0) == 0
    rows = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_text().splitlines()]
    assert [row["image"] for row in rows][:2] == ["a.tar/0000.jpg", "a.tar/0001.png"]
    assert [row["label"] for row in rows] == list("0101010")
    assert Path("camx-out/overlays/a.tar/0000.jpg.png").exists()
    assert camx("explain", images, *TINY, "-o", "plain") == 0
    plain = [json.loads(line) for line in Path("plain/manifest.jsonl").read_text().splitlines()]
    assert [row["top"] for row in plain] == [row["top"] for row in rows]
    capsys.readouterr()
    assert camx("explain", "*.tar", *TINY) == 0
    assert "7 of them earlier" in capsys.readouterr().out


@pytest.mark.parametrize("store", ["s3://bucket"], indirect=True)
def test_tar_files_elsewhere(camx: Camx, store: str, images: Path) -> None:
    packed(images, Path("a.tar"))
    remote.filesystem(store).put_file("a.tar", f"{store}/sets/a.tar")
    assert camx("explain", f"{store}/sets/*.tar", *TINY) == 0
    assert camx("explain", "a.tar", *TINY, "-o", "here") == 0
    assert Path("camx-out/predictions.csv").read_bytes() == Path("here/predictions.csv").read_bytes()


def test_names_in_a_tar_have_no_root_and_no_dot(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("../out.jpg", "/etc/in.jpg", "a/./b.jpg"):
            one = tarfile.TarInfo(name)
            one.size = 1
            tar.addfile(one, io.BytesIO(b"x"))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert [member.name for member in members(str(tmp_path / "a.tar"))] == ["../out.jpg", "etc/in.jpg", "a/b.jpg"]
    (tmp_path / "b.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:700])
    (tmp_path / "c.tar").write_bytes(b"no tar" * 1000)
    for name in ("b.tar", "c.tar"):
        with pytest.raises(CamxError, match="no whole tar file"):
            members(str(tmp_path / name))


class Unsteady(BaseHTTPRequestHandler):
    """Fails twice for every file."""

    asked: ClassVar[dict[str, int]] = {}
    data = b""

    def do_GET(self) -> None:
        times = self.asked[self.path] = self.asked.get(self.path, 0) + 1
        found = not self.path.startswith("/gone")
        self.send_response(404 if not found else 503 if times < 3 else 200)
        self.send_header("Content-Length", str(len(self.data) if found and times >= 3 else 0))
        self.end_headers()
        if found and times >= 3 and self.command == "GET":
            self.wfile.write(self.data)

    do_HEAD = do_GET  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(images: Path) -> Iterator[str]:
    Unsteady.data = (images / "cat" / "0.jpg").read_bytes()
    Unsteady.asked = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Unsteady)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_fails_is_tried_again_and_what_is_not_there_is_not(camx: Camx, web: str) -> None:
    Path("list.txt").write_text(f"{web}/a/photo.jpg\n{web}/gone/b.jpg\n")
    assert camx("explain", "@list.txt", *TINY, "--max-failures", 1) == 0
    good, gone = (json.loads(line) for line in sorted(Path("camx-out/manifest.jsonl").read_text().splitlines()))
    assert (good["image"], good["status"], Unsteady.asked["/a/photo.jpg"]) == ("a/photo.jpg", "ok", 3)
    assert (gone["status"], gone["error"]) == ("failed", "No such file or directory")
    assert Unsteady.asked["/gone/b.jpg"] == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/a.jpg", "Give an address of s3://"),
        ("reference://a", "Give an address of s3://"),
        ("http://127.0.0.1:1/folder/", "cannot be listed"),
        ("memory://nowhere", "nothing at"),
    ],
)
def test_an_address_that_cannot_be_used(camx: Camx, capsys: pytest.CaptureFixture[str], url: str, message: str) -> None:
    assert camx("explain", url, *TINY) == 2
    assert message in capsys.readouterr().err


def test_a_missing_package_names_the_extra(
    camx: Camx, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(protocol: str, **_: Any) -> None:
        raise ImportError(f"Install s3fs to access {protocol}")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    assert camx("explain", "s3://bucket/a", *TINY) == 2
    assert "camx[remote]" in capsys.readouterr().err


@both_at_leisure
def test_shards_fill_a_store_and_a_merge_joins_them(
    camx: Camx, store: str, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = f"{store}/out", ("explain", images, *TINY, "--labels", "folder")
    assert camx(*words, "-o", "here") == 0
    for number in (1, 2, 3):
        if number == 3:
            assert camx("merge", out) == 1
            assert "3 missing" in capsys.readouterr().err
        assert camx(*words, "-o", out, "--shard", f"{number}/3") == 0
        # Each of them on its own machine.
        shutil.rmtree("cache")
    assert f"camx merge {out}" in capsys.readouterr().err
    assert camx("merge", out) == 0
    told = capsys.readouterr().out
    assert "7 of 7 images explained" in told
    assert f"{out}/predictions.csv" in told
    there = remote.filesystem(store)
    assert there.cat_file(f"{out}/predictions.csv") == Path("here/predictions.csv").read_bytes()
    assert names(out) == {p.relative_to("here").as_posix() for p in Path("here").rglob("*") if p.is_file()}
    assert json.loads(there.cat_file(f"{out}/run.json"))["state"] == "finished"
    # The whole run continues from there, also in shards.
    assert camx(*words, "-o", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 7
    assert camx(*words, "-o", out, "--top-k", "2", "--shard", "1/3") == 2
    assert "top_k (5 → 2)" in capsys.readouterr().err


@both_at_leisure
def test_commands_that_read_a_run_take_an_address(
    camx: Camx, store: str, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("names.txt").write_text("".join(f"{name}\n" for name in ["cat", "dog", *range(2, 1000)]))
    named = ("--labels", "folder", "--class-names", "names.txt")
    out, words = f"{store}/out", ("explain", images, *TINY, *named, "--save", "overlay,spots")
    assert camx(*words, "-o", "local-run") == 0
    assert camx(*words, "-o", out, "--no-report") == 0
    commands: list[tuple[str, ...]] = [
        ("report", "OUT"),
        ("audit", "OUT", "--by", "class", "--min-group", "1"),
        ("compare", "OUT", "OUT"),
        ("export", "OUT", "--format", "csv"),
        ("patterns", "OUT", "--min-images", "1"),
        ("push", "OUT", "--tensorboard", "-q"),
        ("merge", "OUT"),
    ]
    there = remote.filesystem(store)
    capsys.readouterr()
    for command in commands:
        shutil.rmtree("cache", ignore_errors=True)
        code = camx(*(word.replace("OUT", "local-run") for word in command))
        expected = capsys.readouterr()
        assert camx(*(word.replace("OUT", out) for word in command)) == code, command
        told = capsys.readouterr()
        assert told.out == expected.out.replace("local-run", out), command
        assert "/camx-" not in told.out + told.err
    local = {p.relative_to("local-run").as_posix() for p in Path("local-run").rglob("*") if p.is_file()}
    plain = {name for name in local if not name.startswith(("tensorboard/", "report/"))}
    assert {name for name in names(out) if not name.startswith(("tensorboard/", "report/"))} == plain
    assert {"report/index.html", "audit/groups.csv"} <= names(out)
    assert any(name.startswith("tensorboard/") for name in names(out))
    for name in sorted(plain):
        there_is, here_is = there.cat_file(f"{out}/{name}"), Path("local-run", name).read_bytes()
        assert b"/camx-" not in there_is, name
        if name.endswith(".csv"):
            assert there_is == here_is, name
    assert len(there.cat_file(f"{out}/overlays/cat/0.jpg.png")) > 100, "it was not replaced by what stood for it"


def test_an_address_without_a_run(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("report", "memory://nothing/there") == 2
    assert "There is nothing at 'memory://nothing/there'." in capsys.readouterr().err
    Path("run").mkdir()
    assert camx("export", "run", "-o", "s3://bucket/x") == 2
    assert "Give a local folder" in capsys.readouterr().err
