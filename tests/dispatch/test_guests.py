"""Guests: chats whose clients wait, admitted in turn with what is stored, without being stored."""

from __future__ import annotations

import itertools
from pathlib import Path

import anyio
import pytest

from comfy_mcp.backends import BackendConfig
from comfy_mcp.dispatch import Guest, Limits
from comfy_mcp.errors import BackendError, BackendUnavailable, Overloaded, TimedOut
from comfy_mcp.store import Mode
from llm_bridge.chat import Done, Loading, Text, Waiting
from tests.dispatch.conftest import BEAT, Bench, bench, until
from tests.dispatch.hosts import Host, answered, came, guest, untouched, waits
from tests.dispatch.scripted import Scripted

TEXT = frozenset({"text"})
ONE = [BackendConfig("llm", "text:")]
CARD = [BackendConfig("painter", "a:", card="gpu0"), BackendConfig("llm", "b:", card="gpu0")]


def ask(on: Bench, *guests: Guest) -> tuple[Guest, ...]:
    for each in guests:
        on.dispatcher.guests.add(each)
    return guests


async def pause(on: Bench, mode: Mode, *names: str) -> None:
    """As a person does, and known at once."""
    for name in names:
        await on.store.set_mode(name, mode)
    on.pool.set_modes(await on.store.modes())
    on.board.post_work()


async def test_a_guest_is_answered_on_a_free_server_and_leaves_nothing_behind(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Host("llm", log, TEXT)]) as on:
        (asked,) = ask(on, guest("sea"))
        told = await came(asked)
        assert told[0] == Loading("a") and told[-1] == Done("stop")
        assert "".join(event.text for event in told if isinstance(event, Text)) == "Once sea"
        assert (asked.reply.text, asked.server) == ("Once sea", "llm")
        assert asked.reply.metrics.queued is not None and asked.reply.metrics.queued < 5
        assert list(await on.store.list()) == []
        await until(lambda: on.pool.members[0].running == 0)


async def test_who_waits_hears_how_many_are_before_him_whenever_that_changes(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT, hold=anyio.Event())
    async with bench(tmp_path, ONE, [host]) as on:
        first, second, third = ask(on, guest("1"), guest("2"), guest("3"))
        await until(lambda: host.asked == ["1"])
        assert [await waits(second), await waits(third)] == [Waiting(0), Waiting(1)]
        on.dispatcher.guests.leave(second)
        assert await waits(third) == Waiting(0)
        assert host.hold is not None
        host.hold.set()
        assert await answered(first, third) == ["Once 1", "Once 3"]
    assert host.asked == ["1", "3"]


async def test_as_many_are_answered_at_once_as_the_server_has_slots(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT, hold=anyio.Event())
    async with bench(tmp_path, [BackendConfig("llm", "b:", concurrency=100)], [host]) as on:
        guests = ask(on, *[guest(str(n)) for n in range(150)])
        await until(lambda: host.at_once == 100)
        assert host.hold is not None
        host.hold.set()
        await answered(*guests)
    assert host.most_at_once == 100


async def test_the_usual_guest_of_the_loaded_model_writes_nothing(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Host("llm", log, TEXT)], Limits(beat=60)) as on:
        await answered(*ask(on, guest("first")))
        with untouched(tmp_path) as unwritten:
            for n in range(5):
                await answered(*ask(on, guest(str(n))))
            assert unwritten()
            await answered(*ask(on, guest("other", "b")))
            assert not unwritten()
        batch = (await on.store.queue()).batches["the card of llm"]
        assert (batch.server, batch.model) == ("llm", "b")


async def test_models_of_guests_and_of_jobs_are_changed_by_the_batch(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT)
    async with bench(tmp_path, ONE, [host]) as on:
        await pause(on, Mode.PAUSED, "llm")
        guests, jobs = list[Guest](), list[str]()
        for n in range(8):
            guests += ask(on, guest(f"guest {n}", "a"))
            jobs.append((await on.queue(f"job {n}", model="b")).id)
        await pause(on, Mode.ACTIVE, "llm")
        await answered(*guests)
        await on.ended(*[await on.store.get(job) for job in jobs])
    kinds = [line.split()[2] for line in log if " runs " in line or " answers " in line]
    assert len(kinds) == 16 and len(list(itertools.groupby(kinds))) == 2


async def test_guests_and_pictures_on_one_card_take_turns_and_what_is_left_lets_go_of_it(
    tmp_path: Path, log: list[str]
) -> None:
    backends = [Scripted("painter", log, frozenset({"pictures"})), Host("llm", log, TEXT)]
    async with bench(tmp_path, CARD, backends) as on:
        await pause(on, Mode.PAUSED, "painter", "llm")
        pictures = [await on.queue(f"p{n}", model="flux", needs="pictures") for n in range(3)]
        guests = ask(on, guest("g1"), guest("g2"))
        pictures += [await on.queue("p3", model="flux", needs="pictures")]
        await pause(on, Mode.ACTIVE, "painter", "llm")
        await answered(*guests)
        await on.ended(*pictures)
    assert max(backend.most_at_once for backend in backends) == 1
    done = [line.split()[0] for line in log if " runs " in line or " answers " in line]
    assert [(name, len(list(some))) for name, some in itertools.groupby(done)] == [("painter", 4), ("llm", 2)]
    assert log[log.index("painter unloads") + 1] == "llm answers g1"


async def test_owners_take_turns_whether_they_wait_or_have_jobs(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT)
    async with bench(tmp_path, ONE, [host]) as on:
        await pause(on, Mode.PAUSED, "llm")
        jobs = [await on.queue(f"ann {n}", model="a", owner="ann") for n in range(4)]
        guests = ask(on, *[guest(f"bob {n}", owner="bob") for n in range(4)], guest("cy", owner="cy"))
        await pause(on, Mode.ACTIVE, "llm")
        await answered(*guests)
        await on.ended(*jobs)
    who = [line.split()[2] for line in log if " runs " in line or " answers " in line]
    assert who == ["ann", "bob", "cy", *["ann", "bob"] * 3]


async def test_the_turns_of_guests_are_on_disk_with_the_next_job(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Host("llm", log, TEXT)]) as on:
        await answered(*ask(on, guest("1", owner="bob")))
        await answered(*ask(on, guest("2", owner="cy")))
        await on.ended(await on.queue("3", model="a", owner="ann"))
        turns = (await on.store.queue()).turns
    assert sorted(turns, key=lambda owner: turns[owner]) == ["bob", "cy", "ann"]


async def test_what_matters_more_comes_first(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT)
    async with bench(tmp_path, ONE, [host]) as on:
        await pause(on, Mode.PAUSED, "llm")
        guests = ask(on, guest("usual"), guest("urgent", priority=5))
        assert [await waits(each) for each in guests] == [Waiting(1), Waiting(0)]
        await pause(on, Mode.ACTIVE, "llm")
        await answered(*guests)
    assert host.asked == ["urgent", "usual"]


async def test_too_many_that_wait_are_refused_and_told_when_to_come_again(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT, hold=anyio.Event())
    async with bench(tmp_path, ONE, [host], Limits(beat=BEAT, guests=3, guests_per_owner=2)) as on:
        ask(on, guest("runs"))
        await until(lambda: host.asked == ["runs"])
        ask(on, guest("1"), guest("2"))
        with pytest.raises(Overloaded) as refused:
            ask(on, guest("3"))
        assert refused.value.details["retry_after"] >= 1
        (last,) = ask(on, guest("4", owner="bob"))
        with pytest.raises(Overloaded):
            ask(on, guest("5", owner="cy"))
        on.dispatcher.guests.leave(last)
        ask(on, guest("6", owner="cy"))


async def test_who_leaves_is_stopped_at_the_server_and_the_next_has_his_slot(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT, hold=anyio.Event())
    async with bench(tmp_path, ONE, [host]) as on:
        first, second = ask(on, guest("1"), guest("2"))
        await until(lambda: host.asked == ["1"])
        on.dispatcher.guests.leave(first)
        with anyio.fail_after(1):
            await until(lambda: host.asked == ["1", "2"])
        assert host.cancelled == ["1"]
        assert host.hold is not None
        host.hold.set()
        assert await answered(second) == ["Once 2"]


async def test_a_request_that_is_lost_before_its_first_token_is_asked_once_more(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT, breaks=1)
    async with bench(tmp_path, ONE, [host]) as on:
        assert await answered(*ask(on, guest("sea"), guest("next"))) == ["Once sea", "Once next"]
        assert host.asked == ["sea", "sea", "next"] and host.probes == 1
        host.breaks = 2
        with pytest.raises(BackendUnavailable, match="It broke off"):
            await came(*ask(on, guest("land")))


async def test_an_answer_that_breaks_off_is_an_error_and_no_second_answer(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT, hold=anyio.Event())
    async with bench(tmp_path, ONE, [host]) as on:
        (asked,) = ask(on, guest("sea"))
        await until(lambda: host.at_once == 1)
        host.down = True
        assert host.hold is not None
        host.hold.set()
        with pytest.raises(BackendError, match="not whole"):
            await came(asked)
    assert host.asked == ["sea"]


async def test_a_server_that_is_away_is_waited_for_as_long_as_patience_lasts(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT, down=True)
    async with bench(tmp_path, ONE, [host], Limits(beat=BEAT, patience=1.0)) as on:
        (first,) = ask(on, guest("1"))
        await until(lambda: on.pool.members[0].breaker.failure is not None)
        host.down = False
        assert await answered(first) == ["Once 1"]
        host.down = True
        with pytest.raises(BackendUnavailable, match="llm does not answer"):
            await came(*ask(on, guest("2")))


async def test_a_server_that_is_there_and_takes_nothing_is_tried_as_long_as_patience_lasts(
    tmp_path: Path, log: list[str]
) -> None:
    host = Host("llm", log, TEXT, refuses=True)
    async with bench(tmp_path, ONE, [host], Limits(beat=BEAT, patience=60.0)) as on:
        (asked,) = ask(on, guest("1"))
        await until(lambda: len(host.asked) == 2)
        assert asked.failing is not None
        asked.failing -= 60
        with pytest.raises(BackendUnavailable, match="It is busy"):
            await came(asked)
    # The time is put back while the second refusal is still heard, or after.
    assert len(host.asked) in (2, 3)


async def test_a_paused_server_is_waited_for_as_long_as_patience_lasts(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Host("llm", log, TEXT)], Limits(beat=BEAT, patience=0.5)) as on:
        await pause(on, Mode.PAUSED, "llm")
        with pytest.raises(BackendUnavailable, match=r"paused.*resumed"):
            await came(*ask(on, guest("1")))
        with pytest.raises(BackendUnavailable, match="No server has 'a'"):
            await came(*ask(on, guest("2", needs="another")))


async def test_an_answer_that_takes_too_long_is_ended(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT, hold=anyio.Event())
    async with bench(tmp_path, ONE, [host], Limits(beat=BEAT, timeout=0.2)) as on:
        with pytest.raises(TimedOut, match="job_timeout"):
            await came(*ask(on, guest("1")))
        assert host.cancelled == ["1"]
        await until(lambda: on.pool.members[0].running == 0)


async def test_those_who_wait_hear_that_the_dispatcher_ends(tmp_path: Path, log: list[str]) -> None:
    host = Host("llm", log, TEXT, hold=anyio.Event())
    async with bench(tmp_path, ONE, [host]) as on:
        guests = ask(on, guest("1"), guest("2"))
        await until(lambda: host.asked == ["1"])
    for each in guests:
        with pytest.raises(BackendUnavailable, match="ending"):
            await came(each)
    with pytest.raises(BackendUnavailable, match="ending"):
        ask(on, guest("3"))


async def test_a_stream_of_guests_does_not_keep_another_model_waiting_for_good(tmp_path: Path, log: list[str]) -> None:
    """The gate of a batch closes for guests too, behind those who waited when its last one began."""
    host = Host("llm", log, TEXT, hold=anyio.Event())
    async with bench(tmp_path, ONE, [host]) as on:
        guests = ask(on, *[guest(f"early {n}") for n in range(3)])
        await until(lambda: host.asked == ["early 0"])
        assert host.hold is not None
        held, host.hold = host.hold, anyio.Event()
        held.set()
        await until(lambda: host.asked == ["early 0", "early 1"])
        (other,) = ask(on, guest("other", "b", owner="bob"))
        other.arrived -= 20
        guests += ask(on, *[guest(f"late {n}") for n in range(3)])
        host.hold.set()
        await answered(other, *guests)
    assert host.asked == ["early 0", "early 1", "early 2", "other", "late 0", "late 1", "late 2"]
