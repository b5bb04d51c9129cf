"""camx neither stores nor shows a password or token of an address, a flag or a variable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cam_cli.errors import CamxError, UnreadableImage
from cam_cli.outputs.fingerprints import differences
from cam_cli.outputs.record_file import read_record, record_bytes
from cam_cli.redaction import public_address, redacted, redacted_values
from cam_cli.tracking.results import run_info
from cli.main import run as command
from cli.terminal import printable

from .conftest import TINY, picture
from .tracking_support import FLAGS

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]
SECRET = "hunter2hunter2"

TEXTS = {
    f"https://user:{SECRET}@host/a.jpg": "https://***@host/a.jpg",
    f"https://{SECRET}@host/a.jpg": "https://***@host/a.jpg",
    f"https://user:{SECRET}/x@host/a.jpg": "https://***@host/a.jpg",
    f"https://user:{SECRET}#?@host/a.jpg": "https://***@host/a.jpg",
    f"s3://key:{SECRET}@bucket/a/b.jpg": "s3://***@bucket/a/b.jpg",
    f"https://host/a.jpg?X-Amz-Signature={SECRET}&X-Amz-Date=2": "https://host/a.jpg?X-Amz-Signature=***&X-Amz-Date=***",
    f"https://host/a.jpg?{SECRET}": "https://host/a.jpg?***",
    f"https://host/a.jpg?a=1;b={SECRET}#t={SECRET}": "https://host/a.jpg?a=***;b=***#t=***",
    f"s3://bucket/a.jpg?token={SECRET}": "s3://bucket/a.jpg?token=***",
    f"404, message='no', url='https://host/a?t={SECRET}'": "404, message='no', url='https://host/a?t=***'",
    f'{{"url": "https://u:{SECRET}@h/x?y={SECRET}"}}': '{"url": "https://***@h/x?y=***"}',
    f"two https://a?b={SECRET} and http://u:{SECRET}@c": "two https://a?b=*** and http://***@c",
    f"--model-arg hf_token={SECRET}": "--model-arg hf_token=***",
    f"--model-arg token={SECRET} x": "--model-arg token=*** x",
    f"aws_secret_access_key={SECRET}": "aws_secret_access_key=***",
    f'"password": "{SECRET}"': '"password": "***"',
    f"https://host/my photo.jpg?x-amz-signature={SECRET}": "https://host/my photo.jpg?x-amz-signature=***",
    "hf_" + "a" * 34: "***",
    "AKIA" + "A" * 16: "***",
    "ghp_" + "b" * 36: "***",
}
PLAIN = [
    "class_token=True",
    "num_prefix_tokens=5",
    "s3://bucket/im?ge-*.jpg",
    "http://localhost:8080/a@b/c.jpg",
    "https://host/a/b.jpg",
    "vit: 196 tokens: 1 prefix",
    "hf_hub:timm/resnet50",
    "a@b.c: d",
    "C:\\a\\b?c=d",
]


@pytest.mark.parametrize("text", TEXTS)
def test_secrets_are_hidden_and_the_rest_stays(text: str) -> None:
    assert redacted(text) == TEXTS[text]
    assert redacted(redacted(text)) == redacted(text)
    assert SECRET not in redacted(text)


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_is_as_it_was(text: str) -> None:
    assert redacted(text) == text


def test_values_of_secret_variables_are_hidden_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVICE_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/home/me/key.json")
    monkeypatch.setenv("SHORT_SECRET", "word")
    assert redacted("it says 0123456789abcdef!") == "it says ***!"
    assert redacted("no /home/me/key.json, word") == "no /home/me/key.json, word"
    assert redacted_values({"a": ["x0123456789abcdefx", 3, None]}) == {"a": ["x***x", 3, None]}


@pytest.mark.parametrize(
    ("url", "public"),
    [
        (f"https://u:{SECRET}@host/a/b c.jpg?t={SECRET}#f", "https://host/a/b c.jpg"),
        (f"s3://k:{SECRET}@bucket/a?b.jpg", "s3://bucket/a?b.jpg"),
        ("https://host", "https://host"),
        ("a/b", "a/b"),
    ],
)
def test_an_address_without_what_is_private(url: str, public: str) -> None:
    assert public_address(url) == public


def test_errors_records_and_configurations_hold_none() -> None:
    url = f"https://u:{SECRET}@host/x?t={SECRET}"
    assert SECRET not in str(CamxError(f"{url!r} fails.", f"Try {url}"))
    assert SECRET not in str(UnreadableImage(f"cannot be read: {url}"))
    assert SECRET not in printable(f"warning {url}")
    record = {"fingerprint": {"command": "explain", "inputs": url}, "command": f"camx {url}", "job": {"sources": [url]}}
    assert SECRET.encode() not in record_bytes(record)
    assert SECRET not in json.dumps(dict(run_info("out", record).config))


def test_a_record_of_an_earlier_version_is_read_without_them_and_goes_on(tmp_path: Path) -> None:
    fingerprint = {"command": "explain", "inputs": f"https://u:{SECRET}@host/x"}
    (tmp_path / "run.json").write_text(
        json.dumps({"fingerprint": fingerprint, "command": f"camx https://a?b={SECRET}"})
    )
    record, wrong = read_record(str(tmp_path))
    assert SECRET not in json.dumps(record)
    assert wrong == []
    assert record
    assert differences(record["fingerprint"], fingerprint) == []
    assert differences(record["fingerprint"], {**fingerprint, "inputs": "https://u@host/y"}) != []


class Guarded(BaseHTTPRequestHandler):
    """Serves an image to requests with the password or the token."""

    data = b""

    def do_GET(self) -> None:
        known = f"token={SECRET}" in self.path or "Authorization" in self.headers
        broken = "broken" in self.path
        self.send_response(200 if known and not broken else 500 if broken else 403)
        self.send_header("Content-Length", str(len(self.data) if known and not broken else 0))
        self.end_headers()
        if known and not broken and self.command == "GET":
            self.wfile.write(self.data)

    do_HEAD = do_GET  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    picture().save(tmp_path / "p.png")
    Guarded.data = (tmp_path / "p.png").read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_run_over_signed_addresses_leaves_no_secret_anywhere(
    camx: Camx, guarded: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every file of a run, and on both streams; two images differ only in their query."""
    monkeypatch.setattr("cam_cli.images.remote._PAUSE", 0.01)
    urls = [
        f"http://{guarded}/a/x.png?token={SECRET}&id=1",
        f"http://{guarded}/a/x.png?token={SECRET}&id=2",
        f"http://user:{SECRET}@{guarded}/a/y.png",
        f"http://{guarded}/a/broken.png?token={SECRET}",
        f"http://{guarded}/a/wrong.png?sig={SECRET}",
    ]
    argv = ["explain", *urls, *TINY, "--max-failures", "2", "--tensorboard"]
    monkeypatch.setattr("sys.argv", ["camx", *argv])
    assert camx(*argv) == 0
    heard = capsys.readouterr()
    assert SECRET not in heard.out + heard.err
    files = [path for path in Path("camx-out").rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET in str(path) or SECRET.encode() in path.read_bytes()]
    rows = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_text().splitlines()]
    names = sorted(row["image"] for row in rows)
    assert names[0] == "broken.png"
    assert names[1:3] == ["wrong.png", "x.png"]
    assert names[3].startswith("x~")
    assert names[4] == "y.png"
    assert sum(row["status"] == "ok" for row in rows) == 3
    assert command([*argv, "--json"]) == 0, "the same addresses go on"
    assert json.loads(capsys.readouterr().out)["skipped"] == 3
    assert command(["report", "camx-out"]) == 0
    assert SECRET not in Path("camx-out/report/index.html").read_text()


@pytest.mark.slow
def test_what_wandb_notes_of_the_process_holds_none(guarded: str, tmp_path: Path) -> None:
    """W&B records the command line by itself."""
    argv = [f"http://{guarded}/a/x.png?token={SECRET}", f"http://user:{SECRET}@{guarded}/a/y.png", *TINY, *FLAGS]
    secret = {"MY_SERVICE_TOKEN": SECRET, "WANDB_API_KEY": SECRET * 3}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "explain", *argv, "--wandb-tags", f"t-{SECRET}"],
        cwd=tmp_path, env={**os.environ, **secret, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    out = tmp_path / "camx-out"
    files = [path for path in out.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET in str(path) or SECRET.encode() in path.read_bytes()]
    (record,) = out.rglob("*.wandb")
    # Once in the configuration of camx, once in the command line that W&B has read.
    for shown in (f"http://{guarded}/a/x.png?token=***", f"http://***@{guarded}/a/y.png"):
        assert record.read_bytes().count(shown.encode()) >= 2
    assert b"t-***" in record.read_bytes()


@pytest.mark.parametrize("field", ["project", "entity"])
@pytest.mark.parametrize("value", [f"https://u:{SECRET}@host/x", "hf_" + "a" * 34])
def test_a_place_in_wandb_that_holds_a_secret_is_refused(
    field: str,
    value: str,
    camx: Camx,
    images: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert camx("explain", images, *TINY, *FLAGS, f"--wandb-{field}", value) == 2
    said = capsys.readouterr().err
    assert f"--wandb-{field} '" in said
    assert "holds a secret" in said
    assert value not in said
    assert not Path("camx-out").exists()
    # W&B reads these by itself; the results do not depend on it.
    monkeypatch.setenv(f"WANDB_{field.upper()}", value)
    assert camx("explain", images, *TINY, "--wandb", "--wandb-mode", "offline") == 0
    said = capsys.readouterr().err
    assert f"W&B is switched off: `WANDB_{field.upper()}` '" in said
    assert ".." not in said.partition("W&B is switched off")[2]
    assert not [path for path in Path("camx-out").rglob("*") if path.is_file() and value.encode() in path.read_bytes()]
