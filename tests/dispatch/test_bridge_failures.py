"""Every failure of the bridge has a meaning for the queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from comfy_mcp.backends.bridge_failures import FAILURES, translated
from comfy_mcp.errors import BackendUnavailable, TimedOut
from llm_bridge import errors as bridge


def tree(root: type[bridge.BridgeError]) -> Iterator[type[bridge.BridgeError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize("kind", list(tree(bridge.BridgeError)), ids=lambda kind: kind.__name__)
def test_every_failure_is_in_the_table_and_keeps_its_words(kind: type[bridge.BridgeError]) -> None:
    assert kind in FAILURES
    failure = translated(kind("It went wrong.", hint="Mend it."))
    assert type(failure) is FAILURES[kind]
    assert str(failure) == "It went wrong. Mend it."


@pytest.mark.parametrize(("stage", "kind"), [("connect", BackendUnavailable), ("idle", TimedOut), ("load", TimedOut)])
def test_a_server_that_cannot_be_reached_is_waited_for_and_a_slow_one_is_not(stage: str, kind: type[Exception]) -> None:
    assert type(translated(bridge.TimedOut("Too slow.", stage=stage))) is kind


def test_only_a_server_that_went_away_midway_may_have_had_the_attempt() -> None:
    assert translated(bridge.ServerLost("It broke off.")).details["reached"] is True
    assert translated(bridge.ServerUnavailable("It is down.")).details["reached"] is False
