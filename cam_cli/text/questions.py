"""The answers yes and no, and the first piece of the opposite answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

YES, NO = "yes", "no"
#: Prefixes of a piece at the start of a word, by tokenizer.
_MARKS = "▁Ġ "


def opposite_piece(tokenizer: Any, pieces: Sequence[int], text: str) -> int | None:
    """See `Reader.opposite`, for an answer in pieces of a tokenizer with the text `text`.

    An answer counts as yes or no if only a punctuation mark follows the word. Keeps its case.
    """
    whole = text.strip().rstrip(".!")
    word = whole.partition(",")[0]
    if not pieces or word.lower() not in (YES, NO):
        return None
    piece = str(tokenizer.convert_ids_to_tokens(int(pieces[0])))
    if piece.lstrip(_MARKS) != word:
        return None
    other = NO if word.lower() == YES else YES
    other = other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
    found = tokenizer.convert_tokens_to_ids(piece[: len(piece) - len(word)] + other)
    return None if found is None or found == tokenizer.unk_token_id else int(found)
