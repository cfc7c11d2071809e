"""What an error says in one line: what happened, then what to do."""

from __future__ import annotations

import pytest

from llm_bridge.errors import BadInput, RequestRefused


@pytest.mark.parametrize(
    ("message", "hint", "said"),
    [
        ("It is full.", "Wait.", "It is full. Wait."),
        ("try increasing it", "Shorten the messages.", "try increasing it. Shorten the messages."),
        ("what now?", "Wait.", "what now? Wait."),
        ("It is full.", "", "It is full."),
        ("no end", "", "no end"),
    ],
)
def test_the_hint_begins_a_sentence_of_its_own(message: str, hint: str, said: str) -> None:
    assert str(RequestRefused(message, hint=hint)) == said
    assert str(BadInput(message, hint=hint)) == said
