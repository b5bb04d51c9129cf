"""Messages between two processes arrive whole at any size, and the reader notices the end of the writer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cam_cli.images import channel
from cam_cli.images.channel import Channel, new_window

THROUGH_MEMORY = pytest.param(True, marks=pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux's"))
WINDOWS = pytest.mark.parametrize("shared", [THROUGH_MEMORY, False])


@pytest.fixture
def ends(shared: bool) -> Iterator[tuple[Channel, Channel]]:
    """Both ends of a channel."""
    (read_a, write_b), (read_b, write_a) = os.pipe(), os.pipe()
    with new_window() if shared else contextlib.nullcontext() as window:
        one = Channel(os.fdopen(read_a, "rb"), os.fdopen(write_a, "wb"), window)
        other = Channel(os.fdopen(read_b, "rb"), os.fdopen(write_b, "wb"), window)
    yield one, other
    one.close()
    other.close()


def received(ends: tuple[Channel, Channel], message: object) -> object:
    """The message as the other side reads it; a thread sends it, since a pipe may be full."""

    def send() -> None:
        try:
            ends[0].send(message)
        except Exception:
            ends[0].close()
            raise

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        try:
            return ends[1].receive()
        finally:
            sent.result()


@WINDOWS
@pytest.mark.parametrize(
    "shape", [(375, 500, 3), (0, 0, 3), (channel._WINDOW - 200,), (channel._WINDOW,), (3000, 1000, 3)]
)
def test_arrays_arrive_as_they_were(ends: tuple[Channel, Channel], shape: tuple[int, ...]) -> None:
    one = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    other = np.random.default_rng(1).random((7, 7), np.float32)
    first, second, text = received(ends, (one, other, "text"))
    assert np.array_equal(first, one)
    assert np.array_equal(second, other)
    assert text == "text"
    first[...] = 0


@WINDOWS
def test_what_was_received_stays_when_more_comes(ends: tuple[Channel, Channel]) -> None:
    pictures = [np.full((375, 500, 3), value, np.uint8) for value in range(3)]
    found = [received(ends, (picture, bytes([value]) * 300_000)) for value, picture in enumerate(pictures)]
    for value, (picture, data) in enumerate(found):
        assert (picture == value).all()
        assert data == bytes([value]) * 300_000


@WINDOWS
def test_the_sender_keeps_its_own(ends: tuple[Channel, Channel]) -> None:
    mine = np.zeros((100, 100, 3), np.uint8)
    theirs = received(ends, mine)
    theirs += 1
    assert not mine.any()


@pytest.mark.parametrize("shared", [False])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_the_end_of_the_pipe_in_the_middle_of_a_message(ends: tuple[Channel, Channel], share: float) -> None:
    ends[0].send(np.zeros((100, 100, 3), np.uint8))
    whole = os.read(ends[1]._incoming.fileno(), 1 << 20)
    ends[0]._outgoing.write(whole[: int(share * len(whole))])
    ends[0].close()
    with pytest.raises(EOFError):
        ends[1].receive()


@pytest.mark.parametrize("shared", [THROUGH_MEMORY])
def test_images_of_the_usual_size_do_not_cross_the_pipe(ends: tuple[Channel, Channel]) -> None:
    """Shared memory holds a canvas and the network's input, or a drawn PNG file."""
    for message in (np.zeros((375, 500, 3), np.uint8), np.zeros((224, 224, 3), np.uint8)), b"x" * 600_000:
        ends[0].send(message)
        assert len(os.read(ends[1]._incoming.fileno(), 1 << 20)) < 200


@pytest.mark.parametrize("shared", [False])
def test_waiting_for_a_message_and_for_the_end(ends: tuple[Channel, Channel]) -> None:
    assert not ends[1].wait(0.05)
    ends[0].send("text")
    assert ends[1].wait(5)
    assert ends[1].wait(1e12), "longer than the system can wait"
    assert ends[1].receive() == "text"
    ends[0].close()
    assert ends[1].wait(5)
