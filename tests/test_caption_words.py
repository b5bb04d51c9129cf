"""Pieces of a tokenizer become words, for every kind of tokenizer."""

from __future__ import annotations

import pytest

from cam_cli.text.words import chosen, words_of


def grouped(pieces: list[str]) -> list[tuple[str, tuple[int, ...]]]:
    """The words of pieces joined without spaces."""
    return [(one.word, one.pieces) for one in words_of(len(pieces), lambda count: "".join(pieces[:count]))]


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([], []),
        (["a", " butter", "fly"], [("a", (0,)), ("butterfly", (1, 2))]),
        ([" a", " cat", " ."], [("a", (0,)), ("cat", (1,)), (".", (2,))]),
        (["a", " cat", ".", " a", " dog"], [("a", (0,)), ("cat", (1,)), (".", (2,)), ("a", (3,)), ("dog", (4,))]),
        (["don", "'", "t"], [("don", (0,)), ("'", (1,)), ("t", (2,))]),
        (["t", "-", "shirt"], [("t", (0,)), ("-", (1,)), ("shirt", (2,))]),
        (["a", " ", "cat"], [("a", (0,)), ("cat", (1, 2))]),
        (["2", "5", " birds"], [("25", (0, 1)), ("birds", (2,))]),
    ],
)
def test_pieces_are_joined_to_words(pieces: list[str], words: list[tuple[str, tuple[int, ...]]]) -> None:
    assert grouped(pieces) == words


def test_a_letter_of_several_bytes_stays_in_its_word() -> None:
    """The first half of é decodes to a stand-in that the second half replaces."""
    texts = ["a", "a caf", "a caf\ufffd", "a café", "a café noir"]
    found = words_of(5, lambda count: texts[count - 1])
    assert [(one.word, one.pieces) for one in found] == [("a", (0,)), ("café", (1, 2, 3)), ("noir", (4,))]
    texts = ["un", "un \ufffd", "un é", "un été"]
    assert [(one.word, one.pieces) for one in words_of(4, lambda count: texts[count - 1])] == [
        ("un", (0,)),
        ("été", (1, 2, 3)),
    ]


def test_every_piece_belongs_to_one_word() -> None:
    texts = ["x", "x y", "z", "z .", "z . w"]  # a decoder whose text changes with later pieces
    found = words_of(5, lambda count: texts[count - 1])
    assert sorted(piece for one in found for piece in one.pieces) == [0, 1, 2, 3, 4]


def test_words_with_content() -> None:
    words = words_of(6, lambda count: " ".join(["A", "red", "cat", "on", "it", "."][:count]))
    assert [words[place].word for place in chosen(words, "content")] == ["red", "cat"]
    assert chosen(words, "all") == [0, 1, 2, 3, 4, 5]
