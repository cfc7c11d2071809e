"""What a running graph asks for: answered under its own lease, so that no graph ever waits for itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from comfy_mcp.backends import BackendConfig
from comfy_mcp.dispatch import Guest, Limits
from comfy_mcp.errors import Interrupted
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.store import Mode
from llm_bridge.chat import Waiting
from tests.dispatch.conftest import BEAT, Bench, bench, until
from tests.dispatch.hosts import Host, Painter, answered, came, guest, waits

CARD = (BackendConfig("painter", "a:", card="gpu0"), BackendConfig("llm", "b:", card="gpu0"))
APART = (BackendConfig("painter", "a:", card="gpu0"), BackendConfig("llm", "b:", card="gpu1"))


class Studio:
    """A painter whose first picture asks for texts, and a text server. ``nested`` are the guests that asked for it."""

    def __init__(self, on: Bench, painter: Painter, host: Host) -> None:
        self.on, self.painter, self.host = on, painter, host
        self.nested: list[Guest] = []
        self.asking, self.may_go_on = anyio.Event(), anyio.Event()

    def asks(self, *prompts: str, model: str = "a", owner: str = "local") -> Callable[[str], Awaitable[None]]:
        """What a node does: it asks, one after the other, once it may."""

        async def ask(attempt: str) -> None:
            self.asking.set()
            await self.may_go_on.wait()
            for prompt in prompts:
                self.nested.append(asked := guest(prompt, model, owner=owner, within=attempt))
                self.on.dispatcher.guests.add(asked)
                await came(asked)

        return ask

    async def paint(self, prompt: str, asks: Callable[[str], Awaitable[None]] | None = None) -> Job:
        if asks is not None:
            self.painter.asks = asks
        return await self.on.queue(prompt, model="flux", needs="pictures")

    def ask(self, *guests: Guest) -> Sequence[Guest]:
        for each in guests:
            self.on.dispatcher.guests.add(each)
        return guests

    async def pause(self, mode: Mode) -> None:
        for name in ("painter", "llm"):
            await self.on.store.set_mode(name, mode)
        self.on.pool.set_modes(await self.on.store.modes())


@asynccontextmanager
async def studio(
    folder: Path, log: list[str], configs: Sequence[BackendConfig] = CARD, limits: Limits | None = None
) -> AsyncGenerator[Studio]:
    painter = Painter("painter", log, frozenset({"pictures"}))
    host = Host("llm", log, frozenset({"text"}))
    async with bench(folder, configs, [painter, host], limits) as on:
        yield Studio(on, painter, host)


async def test_a_graph_does_not_wait_for_itself_whoever_else_waits(tmp_path: Path, log: list[str]) -> None:
    async with studio(tmp_path, log) as here:
        picture = await here.paint("castle", here.asks("a title", "a poem"))
        await here.asking.wait()
        others = here.ask(guest("chat", priority=5), guest("another", "b"))
        jobs = [await here.on.queue("story", model="a"), await here.paint("tower")]
        here.may_go_on.set()
        (done,) = await here.on.ended(picture)
        assert done.state is JobState.SUCCEEDED
        await answered(*others)
        await here.on.ended(*jobs)
    assert log[1:5] == ["painter runs castle", "llm answers a title", "llm answers a poem", "painter ends castle"]


async def test_of_the_card_nothing_is_taken_for_granted_after_it(tmp_path: Path, log: list[str]) -> None:
    async with studio(tmp_path, log) as here:
        here.may_go_on.set()
        await here.on.ended(await here.paint("castle", here.asks("a title")))
        assert (await here.on.store.queue()).batches == {}
        await here.on.ended(await here.paint("tower"))
    assert log[-3:] == ["llm unloads", "painter runs tower", "painter ends tower"]


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.DRAINING])
async def test_what_runs_goes_on_while_everything_is_paused(tmp_path: Path, log: list[str], mode: Mode) -> None:
    async with studio(tmp_path, log) as here:
        picture = await here.paint("castle", here.asks("a title"))
        await here.asking.wait()
        await here.pause(mode)
        (outsider,) = here.ask(guest("chat"))
        here.may_go_on.set()
        (done,) = await here.on.ended(picture)
        assert done.state is JobState.SUCCEEDED
        assert await waits(outsider) == Waiting(0)
    assert "llm answers chat" not in log


async def test_a_full_line_keeps_no_graph_out(tmp_path: Path, log: list[str]) -> None:
    async with studio(tmp_path, log, limits=Limits(beat=BEAT, guests=1, guests_per_owner=1)) as here:
        picture = await here.paint("castle", here.asks("a title"))
        await here.asking.wait()
        here.ask(guest("chat"))
        here.may_go_on.set()
        (done,) = await here.on.ended(picture)
    assert done.state is JobState.SUCCEEDED


async def test_it_joins_its_model_where_that_is_at_work(tmp_path: Path, log: list[str]) -> None:
    configs = (APART[0], BackendConfig("llm", "b:", card="gpu1", concurrency=2))
    async with studio(tmp_path, log, configs) as here:
        here.host.hold = anyio.Event()
        here.ask(guest("long"))
        await until(lambda: here.host.asked == ["long"])
        here.may_go_on.set()
        picture = await here.paint("castle", here.asks("a title"))
        await until(lambda: here.host.asked == ["long", "a title"])
        assert (await here.on.store.queue()).batches["gpu1"].model == "a"
        here.host.hold.set()
        await here.on.ended(picture)


async def test_at_a_busy_server_it_is_the_next(tmp_path: Path, log: list[str]) -> None:
    configs = (APART[0], BackendConfig("llm", "b:", card="gpu1", concurrency=2))
    async with studio(tmp_path, log, configs) as here:
        here.host.hold = anyio.Event()
        here.ask(guest("long", "other"))
        await until(lambda: here.host.asked == ["long"])
        here.may_go_on.set()
        picture = await here.paint("castle", here.asks("a title"))
        await until(lambda: bool(here.nested))
        others = here.ask(guest("chat", "other", priority=10), guest("more", "other"))
        assert await waits(others[0]) == Waiting(1)
        here.host.hold.set()
        await here.on.ended(picture)
        await answered(*others)
    assert here.host.asked == ["long", "a title", "chat", "more"]


@pytest.mark.parametrize("owner", ["bob", "ann"])
async def test_nobody_gets_in_by_an_attempt_that_is_anothers_or_has_ended(
    tmp_path: Path, log: list[str], owner: str
) -> None:
    async with studio(tmp_path, log) as here:
        ended = await here.paint("castle")
        (ended,) = await here.on.ended(ended)
        picture = await here.paint("tower", here.asks())
        await here.asking.wait()
        running = await here.on.store.get(picture.id)
        within = running.attempt if owner == "bob" else ended.attempt
        (outsider,) = here.ask(guest("chat", owner=owner, within=within or ""))
        assert await waits(outsider) == Waiting(0)
        here.may_go_on.set()
        await answered(outsider)
    assert log.index("painter ends tower") < log.index("llm answers chat")


async def test_the_owner_of_the_job_gets_in(tmp_path: Path, log: list[str]) -> None:
    async with studio(tmp_path, log) as here:
        here.may_go_on.set()
        (done,) = await here.on.ended(await here.paint("castle", here.asks("a title", owner="ann")))
    assert done.state is JobState.SUCCEEDED


async def test_what_a_graph_asked_for_ends_with_its_job(tmp_path: Path, log: list[str]) -> None:
    async with studio(tmp_path, log) as here:
        here.host.hold = anyio.Event()
        here.may_go_on.set()
        picture = await here.paint("castle", here.asks("a title"))
        await until(lambda: here.host.asked == ["a title"])
        await here.on.store.cancel(picture.id)
        here.on.board.post_work()
        (done,) = await here.on.ended(picture)
        assert done.state is JobState.CANCELLED
        with pytest.raises(Interrupted, match="has ended"):
            await came(here.nested[0])
        await until(lambda: here.host.cancelled == ["a title"])
        await until(lambda: all(member.running == 0 for member in here.on.pool.members))


async def test_a_node_that_does_not_heed_a_cancel_gets_no_answer_any_more(tmp_path: Path, log: list[str]) -> None:
    async with studio(tmp_path, log) as here:
        here.host.hold = anyio.Event()
        here.may_go_on.set()
        ask = here.asks("a title")

        async def deaf(attempt: str) -> None:
            with anyio.CancelScope(shield=True), suppress(Interrupted):
                await ask(attempt)

        picture = await here.paint("castle", deaf)
        await until(lambda: here.host.asked == ["a title"])
        await here.on.store.cancel(picture.id)
        here.on.board.post_work()
        (done,) = await here.on.ended(picture)
    assert done.state is JobState.CANCELLED and here.host.cancelled == ["a title"]


async def test_what_a_graph_does_not_wait_for_ends_with_it(tmp_path: Path, log: list[str]) -> None:
    async with studio(tmp_path, log) as here:
        here.host.hold = anyio.Event()
        left = list[Guest]()

        async def leaves(attempt: str) -> None:
            left.extend(here.ask(guest("a title", owner="ann", within=attempt)))
            await until(lambda: here.host.asked == ["a title"])

        (done,) = await here.on.ended(await here.paint("castle", leaves))
        assert done.state is JobState.SUCCEEDED
        with pytest.raises(Interrupted, match="has ended"):
            await came(left[0])
        await until(lambda: here.host.cancelled == ["a title"])


async def test_what_still_waits_ends_with_the_job_too(tmp_path: Path, log: list[str]) -> None:
    async with studio(tmp_path, log, APART) as here:
        here.host.hold = anyio.Event()
        here.ask(guest("long", "other"))
        await until(lambda: here.host.asked == ["long"])
        here.may_go_on.set()
        picture = await here.paint("castle", here.asks("a title"))
        await until(lambda: bool(here.nested))
        await here.on.store.cancel(picture.id)
        here.on.board.post_work()
        await here.on.ended(picture)
        with pytest.raises(Interrupted, match="has ended"):
            await came(here.nested[0])
    assert here.host.asked == ["long"]
