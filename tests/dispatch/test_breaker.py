"""The circuit breaker: when it opens, when it tries again, and what closes it."""

from __future__ import annotations

import pytest

from comfy_mcp.backends import Breaker, Circuit
from comfy_mcp.errors import BackendUnavailable, TimedOut
from tests.store.stores import Ticker

DOWN, STUCK = BackendUnavailable("It does not answer."), TimedOut("It got nowhere.")


@pytest.fixture
def clock() -> Ticker:
    return Ticker()


@pytest.fixture
def breaker(clock: Ticker) -> Breaker:
    return Breaker(threshold=3, clock=clock)


def test_a_backend_is_trusted_until_it_fails(breaker: Breaker) -> None:
    assert breaker.circuit is Circuit.CLOSED and breaker.admits(5)


def test_one_that_does_not_answer_gets_nothing_and_is_probed_ever_more_slowly(breaker: Breaker, clock: Ticker) -> None:
    breaker.worked()
    waits: list[float] = []
    for _ in range(6):
        breaker.unreachable(DOWN)
        seconds = breaker.seconds_to_probe
        assert seconds is not None and not breaker.admits(0)
        waits.append(seconds)
        clock.now += seconds
        assert breaker.seconds_to_probe == 0
    assert waits == [0.5, 1.0, 2.0, 5.0, 5.0, 5.0]
    assert breaker.failure is DOWN


def test_it_closes_by_itself_when_a_probe_and_then_a_job_go_well(breaker: Breaker) -> None:
    breaker.unreachable(DOWN)
    breaker.answered()
    assert (breaker.circuit, breaker.failure, breaker.seconds_to_probe) == (Circuit.HALF_OPEN, None, None)
    assert breaker.admits(0) and not breaker.admits(1)
    breaker.worked()
    assert breaker.circuit is Circuit.CLOSED
    breaker.unreachable(DOWN)
    assert breaker.seconds_to_probe == 0.5


def test_jobs_that_get_stuck_one_after_the_other_open_it(breaker: Breaker) -> None:
    breaker.worked()
    for _ in range(2):
        breaker.stuck(STUCK)
    breaker.worked()
    for _ in range(2):
        breaker.stuck(STUCK)
    assert breaker.circuit is Circuit.CLOSED
    breaker.stuck(STUCK)
    assert (breaker.circuit, breaker.failure, breaker.seconds_to_probe) == (Circuit.OPEN, STUCK, 30.0)


def test_one_that_is_stuck_is_not_tried_again_just_because_it_answers(breaker: Breaker, clock: Ticker) -> None:
    for _ in range(3):
        breaker.stuck(STUCK)
    breaker.answered()
    assert breaker.circuit is Circuit.OPEN
    clock.now += 30
    breaker.answered()
    assert breaker.circuit is Circuit.HALF_OPEN
    breaker.stuck(STUCK)
    assert (breaker.circuit, breaker.seconds_to_probe) == (Circuit.OPEN, 60.0)


def test_one_that_was_stuck_and_then_went_down_is_probed_soon(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.stuck(STUCK)
    breaker.unreachable(DOWN)
    assert breaker.seconds_to_probe == 0.5
