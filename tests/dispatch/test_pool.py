"""Backends come, go, change and wake up while jobs wait: what is free is used, and a card is never used twice."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest

from comfy_mcp.backends import Backend, BackendConfig, Pool
from comfy_mcp.backends.comfyui import ComfyUIBackend
from comfy_mcp.dispatch import Limits
from comfy_mcp.dispatch.answering import Answering
from comfy_mcp.store import Mode
from tests.dispatch.conftest import bench, until
from tests.dispatch.hosts import Host, answered, guest
from tests.dispatch.scripted import Scripted

TEXT = frozenset({"text"})
ONE = [BackendConfig("llm", "text:")]
TWO = [BackendConfig("a", "a:"), BackendConfig("b", "b:")]


class Learner(Scripted):
    """Offers nothing before it was asked what it has, as ComfyUI does."""

    known = False

    async def refresh(self) -> bool:
        self._reached()
        fresh, self.known = not self.known, True
        return fresh

    def offers(self, names: frozenset[str]) -> frozenset[str]:
        return super().offers(names) if self.known else frozenset()


async def test_a_backend_that_is_added_takes_jobs_of_the_others(tmp_path: Path, log: list[str]) -> None:
    backends = [Learner("a", log, TEXT, seconds=0.2), Learner("b", log, TEXT, seconds=0.2)]
    async with bench(tmp_path, TWO[:1], backends) as on:
        jobs = [await on.queue(str(n)) for n in range(10)]
        await until(lambda: any("a runs" in line for line in log))
        await on.pool.change(TWO)
        done = await on.ended(*jobs)
    assert {job.backend for job in done} == {"a", "b"}


async def test_a_backend_that_was_down_at_the_start_takes_jobs_later(tmp_path: Path, log: list[str]) -> None:
    backends = [Learner("a", log, TEXT, seconds=0.3), Learner("b", log, TEXT, seconds=0.3, down=True)]
    async with bench(tmp_path, TWO, backends) as on:
        jobs = [await on.queue(str(n)) for n in range(10)]
        await until(lambda: any("a runs" in line for line in log))
        backends[1].down = False
        done = await on.ended(*jobs)
    assert {job.backend for job in done} == {"a", "b"}


async def test_nothing_is_asked_where_no_jobs_are_sent_from(log: list[str]) -> None:
    learner = Learner("a", log, TEXT)

    def opener(config: BackendConfig) -> AbstractAsyncContextManager[Backend]:
        from tests.dispatch.scripted import opening

        return opening([learner])(config)

    async with Pool.open(TWO[:1], opener) as pool:
        await anyio.sleep(0.1)
        assert pool.find("a") is not None
    assert not learner.known


async def test_a_paused_backend_stays_paused_at_another_address(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Scripted("llm", log, TEXT)]) as on:
        await on.store.set_mode("llm", Mode.PAUSED)
        await until(lambda: all(member.mode is Mode.PAUSED for member in on.pool.members))
        await on.queue("one")
        await on.pool.change([BackendConfig("llm", "other:")])
        await anyio.sleep(0.7)
    assert log == []


async def test_a_card_is_held_to_the_last_job_of_a_backend_that_leaves_it(tmp_path: Path, log: list[str]) -> None:
    backend = Scripted("llm", log, TEXT, seconds=0.5)
    async with bench(tmp_path, [BackendConfig("llm", "a:", card="gpu")], [backend]) as on:
        jobs = [await on.queue("one", model="x")]
        await until(lambda: "llm runs one" in log)
        jobs += [await on.queue("two", model="x"), await on.queue("three", model="y")]
        await on.pool.change([BackendConfig("llm", "a:", card="gpu", authorization="new")])
        await on.ended(*jobs)
    assert backend.most_at_once == 1


async def test_a_backend_that_leaves_and_comes_back_is_the_same(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Scripted("llm", log, TEXT, seconds=0.5)]) as on:
        one = await on.queue("one")
        await until(lambda: "llm runs one" in log)
        member = on.pool.find("llm")
        await on.pool.change([])
        await on.pool.change(ONE)
        await on.ended(one, await on.queue("two"))
        assert on.pool.find("llm") is member
        assert [server.name for server in on.pool.servers(TEXT)] == ["llm"]


async def test_a_drain_over_a_restart_waits_for_the_running_job(tmp_path: Path, log: list[str]) -> None:
    backend = Scripted("llm", log, TEXT, seconds=0.6)
    async with bench(tmp_path, ONE, [backend]) as on:
        job = await on.queue("one")
        await until(lambda: "llm runs one" in log)
        await on.store.set_mode("llm", Mode.DRAINING)
        attempt = (await on.store.get(job.id)).attempt
    assert attempt is not None
    backend.running[attempt] = anyio.Event()
    async with bench(tmp_path, ONE, [backend]) as on:
        await on.ended(job)
        await until(lambda: log[-1] == "llm unloads")
    assert log.count("llm unloads") == 1


async def test_a_backend_that_cannot_be_set_up_keeps_nobody_from_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def opener(config: BackendConfig) -> AbstractAsyncContextManager[Backend]:
        return ComfyUIBackend.open(config.url, authorization=config.authorization)

    configs = [BackendConfig("a", "http://a", authorization="Bearer tök"), BackendConfig("b", "http://b")]
    async with Pool.open(configs, opener) as pool:
        assert [member.name for member in pool.members] == ["b"]
    assert "a cannot be used." in caplog.text


class Reluctant(Scripted):
    """Lets go of its memory when it may, and not before."""

    may: anyio.Event

    async def unload(self) -> None:
        self.log.append(f"{self.name} is asked")
        await self.may.wait()
        await super().unload()


async def test_who_hangs_up_while_room_is_made_is_gone_and_the_next_one_gets_it(tmp_path: Path, log: list[str]) -> None:
    card = [BackendConfig("painter", "a:", card="gpu0"), BackendConfig("llm", "b:", card="gpu0")]
    painter = Reluctant("painter", log, frozenset({"pictures"}))
    painter.may = anyio.Event()
    async with bench(tmp_path, card, [painter, Host("llm", log, TEXT)]) as on:
        llm = on.pool.find("llm")
        assert llm is not None
        await on.ended(await on.queue("p", model="flux", needs="pictures"))
        gone, late = guest("gone"), guest("late")
        on.dispatcher.guests.add(gone)
        await until(lambda: log[-1] == "painter is asked")
        on.dispatcher.guests.leave(gone)
        await until(lambda: llm.running == 0)
        on.dispatcher.guests.add(late)
        await until(lambda: log[-2:] == ["painter is asked"] * 2)
        painter.may.set()
        assert await answered(late) == ["Once late"]
    assert log[-2:] == ["painter unloads", "llm answers late"]


async def test_who_hung_up_before_it_began_unloads_nothing(tmp_path: Path, log: list[str]) -> None:
    card = [BackendConfig("painter", "a:", card="gpu0"), BackendConfig("llm", "b:", card="gpu0")]
    async with bench(tmp_path, card, [Scripted("painter", log), Host("llm", log, TEXT)]) as on:
        llm, left = on.pool.find("llm"), guest("left")
        assert llm is not None
        left.member, left.left = llm, True
        assert await Answering(on.store, on.pool).answer(left, ("painter",), Limits())
    assert log == []
