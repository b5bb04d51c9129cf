"""Keys of images stay below a folder for any name in a source."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from cam_cli.images.keys import distinct_key, image_key, is_image_key
from cam_cli.images.listing import find

HOSTILE = [
    "..",
    ".",
    "",
    "/",
    "//",
    "a",
    "~",
    "%2E%2E",
    "C:",
    "\\",
    "..\\..",
    "\0",
    "\n",
    "a b",
    "ä",
    "\udcff",
    "...",
    "-",
]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a/x.jpg", "a/x.jpg"),
        ("../../etc/x.jpg", "%2E%2E/%2E%2E/etc/x.jpg"),
        ("/etc/x.jpg", "etc/x.jpg"),
        ("a/../x.jpg", "a/%2E%2E/x.jpg"),
        ("a//./x.jpg", "a/x.jpg"),
        ("x\0.jpg", "x%00.jpg"),
        ("...", "..."),
        ("/", "image"),
    ],
)
def test_a_key_is_a_relative_path_that_stays_below_its_folder(name: str, key: str) -> None:
    assert image_key(name) == key
    assert is_image_key(key)
    assert is_image_key(name) == (name == key)


def test_ten_thousand_hostile_names_stay_inside_and_are_stable() -> None:
    draw = random.Random(0)
    for _ in range(10_000):
        name = "/".join(draw.choice(HOSTILE) for _ in range(draw.randint(1, 8)))
        key = image_key(name)
        inside = os.path.normpath(os.path.join("/out/overlays", key))
        assert inside.startswith("/out/overlays/"), name
        assert image_key(key) == key
        assert is_image_key(key)
        assert "\0" not in key


def test_two_sources_never_share_a_key() -> None:
    taken: set[str] = set()
    for origin in ("s3://b/a//x.jpg", "s3://b/a/x.jpg", "s3://b/a/./x.jpg"):
        taken.add(distinct_key("a/x.jpg", origin, taken))
    assert len(taken) == 3
    assert all(key.endswith(".jpg") for key in taken)


def test_an_address_that_climbs_stays_below_the_output(tmp_path: Path) -> None:
    """A web page or a list names `…/../../x.jpg`; in 0.1.0 its key held `..`, so its overlay left the output folder."""
    hostile = tmp_path / "list.txt"
    hostile.write_text("http://127.0.0.1:9/a/../../../../esc/evil.jpg\nhttp://127.0.0.1:9/b/ok.jpg\n")
    keys = [source.key for source in find([f"@{hostile}"]).sources]
    assert all(map(is_image_key, keys)), keys
    assert len(set(keys)) == 2
