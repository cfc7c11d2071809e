"""What is remembered of clients is bounded, whatever they call themselves."""

from __future__ import annotations

from contextlib import ExitStack

from comfy_mcp.proxy.comfyui.hub import Hub, Listener


def heard(listener: Listener) -> list[str]:
    return [listener.jobs.receive_nowait() for _ in range(listener.jobs.statistics().current_buffer_used)]


def test_the_newest_clients_of_an_owner_are_remembered() -> None:
    hub = Hub()
    for number in range(100):
        hub.submitted("anna", str(number), f"job {number}")

    with hub.listening("anna", "99") as newest, hub.listening("anna", "0") as oldest:
        assert heard(newest) == ["job 99"]
        assert heard(oldest) == []


def test_many_of_one_owner_push_out_nobody_elses() -> None:
    hub = Hub()
    hub.submitted("ben", "his", "job")
    for number in range(5_000):
        hub.submitted("anna", str(number), f"job {number}")

    with hub.listening("ben", "his") as listener:
        assert heard(listener) == ["job"]


def test_the_newest_jobs_of_a_client_are_remembered() -> None:
    hub = Hub()
    for number in range(100):
        hub.submitted("anna", "one", str(number))

    with hub.listening("anna", "one") as listener:
        assert heard(listener) == [str(number) for number in range(36, 100)]


def test_a_job_that_was_told_is_not_told_again() -> None:
    hub = Hub()
    with hub.listening("anna", "one") as first:
        hub.submitted("anna", "one", "a")
        hub.submitted("anna", "one", "b")
        hub.told("anna", "one", "a", first)
        with hub.listening("anna", "one") as second:
            assert (heard(first), heard(second)) == (["a", "b"], ["b"])


def test_a_socket_with_something_to_tell_is_the_last_to_go() -> None:
    hub = Hub()
    with ExitStack() as stack:
        busy = stack.enter_context(hub.listening("anna", "busy"))
        hub.submitted("anna", "busy", "job")
        others = [stack.enter_context(hub.listening("anna", str(number))) for number in range(63)]
        stack.enter_context(hub.listening("ben", "his"))
        assert not any(listener.gone for listener in (busy, *others))

        stack.enter_context(hub.listening("anna", "one more"))

        assert [listener.gone for listener in (busy, *others[:2])] == [False, True, False]
