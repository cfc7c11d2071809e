"""The forecast: the same order as the policy starts jobs in, and times that add up."""

from __future__ import annotations

import pytest

from llm_bridge.forecast import Place, Waiting, forecast
from llm_bridge.scheduling import Batch, Lane, Policy, Server

GPU = Server("comfyui", "gpu0", frozenset({"picture"}))


def lane(number: int, *, model: str = "anime", priority: int = 0, needs: str = "picture", oldest: int = 1) -> Lane:
    return Lane(number, "ann", priority, model, frozenset({needs}), oldest, 0.0)


def places(
    waiting: str, lanes: list[Lane], *, servers: tuple[Server, ...] = (GPU,), **more: object
) -> dict[str, Place]:
    """``waiting`` names the lane of each job, a digit each; jobs are called a, b, c …"""
    line = [Waiting("abcdefghij"[at], int(number), at + 1) for at, number in enumerate(waiting)]
    told: dict[str, object] = {"seconds": {lane.id: 10.0 for lane in lanes}, "left": [], **more}
    batches = told.pop("batches", {})
    return forecast(line, lanes, servers, batches, {}, policy=Policy(), **told)  # type: ignore[arg-type]


def test_jobs_of_one_lane_start_one_after_the_other() -> None:
    assert places("111", [lane(1)]) == {"a": Place(0, 0.0), "b": Place(1, 10.0), "c": Place(2, 20.0)}


def test_what_runs_is_waited_for() -> None:
    told = places("1", [lane(1)], left=[("comfyui", 4.0)], batches={"gpu0": Batch("comfyui", "anime", 5)})
    assert told == {"a": Place(0, 4.0)}


def test_the_loaded_model_goes_first_and_a_batch_holds_together() -> None:
    lanes = [lane(1, model="photo"), lane(2, model="anime", oldest=2)]
    told = places("1212", lanes, batches={"gpu0": Batch("comfyui", "anime", 4)})
    assert sorted(told, key=lambda job: told[job].position) == ["b", "d", "a", "c"]
    assert [told[job].starts_in for job in "bdac"] == [0.0, 10.0, 20.0, 30.0]


def test_priority_goes_first() -> None:
    told = places("12", [lane(1), lane(2, priority=5, oldest=2)])
    assert (told["b"].position, told["a"].position) == (0, 1)


def test_two_servers_halve_the_wait() -> None:
    second = Server("second", "gpu1", frozenset({"picture"}))
    told = places("1111", [lane(1)], servers=(GPU, second))
    assert [told[job].starts_in for job in "abcd"] == [0.0, 0.0, 10.0, 10.0]


def test_what_nobody_can_run_has_no_place_and_holds_up_nobody() -> None:
    told = places("12", [lane(1, needs="text"), lane(2, oldest=2)])
    assert told == {"b": Place(0, 0.0)}


def test_a_server_that_is_gone_frees_nothing() -> None:
    assert places("1", [lane(1)], servers=(), left=[("gone", 3.0)]) == {}


def test_without_a_measurement_only_the_position_is_told() -> None:
    told = places("11", [lane(1)], seconds={}, left=[("comfyui", None)])
    assert [told[job] for job in "ab"] == [Place(0, None), Place(1, None)]


def test_what_was_not_measured_takes_as_long_as_the_others() -> None:
    lanes = [lane(1), lane(2, oldest=2)]
    told = places("122", lanes, seconds={1: 10.0}, left=[("comfyui", None)])
    assert [told[job].starts_in for job in "abc"] == [pytest.approx(at) for at in (10.0, 20.0, 30.0)]


def test_a_job_without_a_model_does_not_end_the_batch() -> None:
    lanes = [lane(1, model=""), lane(2, model="anime", oldest=2), lane(3, model="photo", oldest=3)]
    told = places("123", lanes, batches={"gpu0": Batch("comfyui", "anime", 0)})
    assert [told[job].position for job in "abc"] == [0, 1, 2]
