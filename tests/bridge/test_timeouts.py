"""Each stage of a chat has its own time; who is out of time or cancelled leaves nothing behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

from llm_bridge.chat import Event, Loading, Text
from llm_bridge.client import Client, Retry
from llm_bridge.deadline import Deadline
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import TimedOut
from llm_bridge.transport import Timeouts
from tests.bridge.chatting import ASK, answering
from tests.bridge.servers import Answer, End, Received, Script, busy_port, chunk, json_answer, scripted, sse, stream

HI = sse(chunk("Hi"), done=False)
LOADING = json_answer({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, 503)
TALK = [step for _ in range(200) for step in (b": still here\n\n", 0.01)]


async def gone(server: Script) -> None:
    """Until the client has closed all its connections, which must be soon."""
    async with asyncio.timeout(0.5):
        while server.connections:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("timeouts", "answer", "stage"),
    [
        (Timeouts(first_token=0.1), stream(End.HANG), "first_token"),
        (Timeouts(first_token=0.1), Answer(early=(End.HANG,)), "first_token"),
        (Timeouts(first_token=0.1), stream(*TALK), "first_token"),
        (Timeouts(first_token=0.1), stream(*[b": still here\n\n" * 1000] * 9000), "first_token"),
        (Timeouts(first_token=0.1), stream(*[sse(chunk(role="assistant"), done=False), 0.01] * 200), "first_token"),
        (Timeouts(idle=0.1), stream(HI, End.HANG), "idle"),
        (Timeouts(idle=0.1), stream(HI, *TALK), "idle"),
        (Timeouts(idle=0.1), stream(sse(chunk("<thi"), done=False), End.HANG), "idle"),
        (Timeouts(idle=0.1), stream(sse(*[chunk("\n")] * 9, done=False), End.HANG), "idle"),
        (Timeouts(load=0.1), LOADING, "load"),
    ],
)
async def test_a_stage_that_takes_too_long_is_named_with_what_to_do(
    timeouts: Timeouts, answer: Answer, stage: str
) -> None:
    async with answering(answer, timeouts=timeouts) as (server, client):
        began = time.perf_counter()
        with pytest.raises(TimedOut) as failure:
            await client.ask(ASK)
        assert time.perf_counter() - began < 1
        await gone(server)
    assert failure.value.details["stage"] == stage
    assert "0.1 seconds" in failure.value.message
    assert stage in failure.value.hint
    assert len(server.received) == 1 or stage == "load"


async def test_a_connection_that_does_not_come_is_given_up() -> None:
    with busy_port() as url:
        async with Client.open(Endpoint("box", url, kind="openai"), timeouts=Timeouts(connect=0.1)) as client:
            with pytest.raises(TimedOut) as failure:
                await client.ask(ASK)
    assert failure.value.details == {"stage": "connect"}
    assert "running" in failure.value.hint


async def test_a_server_that_does_not_say_what_it_is_fails_all_who_wait_at_once() -> None:
    async def failing(client: Client) -> TimedOut:
        with pytest.raises(TimedOut) as failure:
            await client.ask(ASK)
        return failure.value

    async with scripted("GET /running", Answer(early=(End.HANG,))) as server:
        async with Client.open(Endpoint("box", server.url), timeouts=Timeouts(answer=0.2)) as client:
            began = time.perf_counter()
            failures = await asyncio.gather(*(failing(client) for _ in range(20)))
            assert time.perf_counter() - began < 1
        await gone(server)
        assert len(server.received) == 1
    assert {failure.details["stage"] for failure in failures} == {"answer"}


async def test_the_first_token_is_due_also_while_a_server_does_not_say_what_it_is() -> None:
    async with scripted("GET /running", Answer(early=(End.HANG,))) as server:
        async with Client.open(Endpoint("box", server.url), timeouts=Timeouts(first_token=0.1)) as client:
            with pytest.raises(TimedOut) as failure:
                await client.ask(ASK)
        # What was still being found out ends with the client.
        await gone(server)
    assert failure.value.details["stage"] == "first_token"


async def test_who_is_cancelled_does_not_take_the_answer_from_who_waits_for_the_same() -> None:
    known = asyncio.Event()
    async with scripted("GET /running", Answer((b"404",), 404, early=(known,))) as server:
        server.on("GET /v1/models", json_answer({"data": [{"id": "m"}]}))
        async with Client.open(Endpoint("box", server.url)) as client:
            first, second = asyncio.create_task(client.models()), asyncio.create_task(client.models())
            await server.asked.wait()
            first.cancel()
            await asyncio.wait([first])
            known.set()
            assert [model.id for model in await second] == ["m"]
    assert first.cancelled()


async def test_a_plain_question_has_a_time_of_its_own() -> None:
    async with answering(timeouts=Timeouts(answer=0.1)) as (server, client):
        server.on("GET /v1/models", stream(b"{", End.HANG, kind="application/json"))
        with pytest.raises(TimedOut, match="did not answer"):
            await client.models()
        await gone(server)


async def test_slow_tokens_are_fine_as_long_as_they_come() -> None:
    steps = [step for place in range(6) for step in (sse(chunk(f"{place}"), done=False), 0.05)]
    answer = stream(*steps, sse(chunk(finish="stop")))
    async with answering(answer, timeouts=Timeouts(first_token=0.2, idle=0.2)) as (_, client):
        assert (await client.ask(ASK)).text == "012345"


async def test_who_takes_time_over_an_event_is_not_the_servers_fault() -> None:
    answer = stream(HI, 0.01, HI, sse(chunk(finish="stop")))
    seen: list[Event] = []
    timeouts = Timeouts(first_token=0.1, idle=0.1)
    async with answering(answer, timeouts=timeouts) as (_, client), client.stream(ASK) as events:
        async for event in events:
            seen.append(event)
            await asyncio.sleep(0.15)
    assert len(seen) == 3


async def test_a_server_that_loads_is_waited_for_and_it_is_said_once() -> None:
    answers = [LOADING] * 3 + [stream(sse(chunk("Hi"), chunk(finish="stop")))]
    seen: list[Event] = []
    async with answering(*answers, retry=Retry(attempts=1)) as (server, client):
        await client.ask(ASK, seen.append)
    assert seen[:2] == [Loading("m"), Text("Hi")]
    assert len(server.received) == 4


Leave = Callable[[Client, asyncio.Event], Awaitable[None]]


async def _cancelled(client: Client, reached: asyncio.Event) -> None:
    task = asyncio.create_task(client.ask(ASK))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _timed(client: Client, reached: asyncio.Event) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.ask(ASK)
    assert reached.is_set()


async def _scoped(client: Client, reached: asyncio.Event) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(client.ask, ASK)
        await reached.wait()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("leave", [_cancelled, _timed, _scoped])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(early=(End.HANG,)),
        stream(End.HANG),
        stream(b": reading\n\n", End.HANG),
        stream(HI, End.HANG),
        stream(*[HI, 0.001] * 2000),
        LOADING,
    ],
    ids=["prompt", "headers", "comments", "tokens", "more tokens", "loading"],
)
async def test_a_cancel_closes_the_socket_at_once_and_leaves_no_task(leave: Leave, answer: Answer) -> None:
    before = asyncio.all_tasks()
    async with answering(answer) as (server, client):
        await leave(client, server.asked)
        await gone(server)
    assert asyncio.all_tasks() <= before


async def test_a_cancel_while_connecting_leaves_nothing() -> None:
    with busy_port() as url:
        async with Client.open(Endpoint("box", url, kind="openai")) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.ask(ASK)


@pytest.mark.parametrize("events", [0, 1])
async def test_leaving_the_block_early_closes_the_socket(events: int) -> None:
    async with answering(stream(HI, HI, End.HANG)) as (server, client):
        async with client.stream(ASK) as coming:
            for _ in range(events):
                await anext(coming)
        await gone(server)
        assert len(server.received) == events


async def test_an_error_of_who_reads_closes_the_socket_too() -> None:
    async with answering(stream(HI, End.HANG)) as (server, client):
        with pytest.raises(ZeroDivisionError):
            await client.ask(ASK, lambda event: 1 // 0)
        await gone(server)


def _router(server: Script) -> None:
    """A router that never ends to load."""
    entry = {"id": "m", "status": {"value": "unloaded"}}

    def told(state: str) -> Callable[[Received], Answer]:
        def answer(received: Received) -> Answer:
            entry["status"] = {"value": state}
            return json_answer({"success": True})

        return answer

    server.on("GET /props", json_answer({"role": "router", "build_info": "b1"}))
    server.on("GET /v1/models", lambda received: json_answer({"data": [entry]}))
    server.on("POST /models/load", told("loading"))
    server.on("POST /models/unload", told("unloaded"))


@pytest.mark.parametrize("leave", ["cancel", "scope", "too slow"])
async def test_a_load_that_is_given_up_is_undone(leave: str) -> None:
    before = asyncio.all_tasks()
    async with scripted() as server:
        _router(server)
        endpoint = Endpoint("box", server.url, kind="llama-cpp")
        async with Client.open(endpoint, timeouts=Timeouts(load=0.2 if leave == "too slow" else 60)) as client:
            if leave == "too slow":
                with pytest.raises(TimedOut) as failure:
                    await client.load("m")
                assert failure.value.details["stage"] == "load"
            elif leave == "cancel":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await client.load("m")
            else:
                with anyio.move_on_after(0.2):
                    await client.load("m")
        assert server.bodies("POST /models/load") == [{"model": "m"}]
        assert server.bodies("POST /models/unload") == [{"model": "m"}]
        await gone(server)
    assert asyncio.all_tasks() <= before


async def test_a_client_that_is_closed_by_a_cancel_scope_undoes_its_load_first() -> None:
    async with scripted() as server:
        _router(server)
        with anyio.move_on_after(0.2):
            async with Client.open(Endpoint("box", server.url, kind="llama-cpp")) as client:
                await client.load("m")
        assert server.bodies("POST /models/unload") == [{"model": "m"}]
        await gone(server)


async def test_a_deadline_moves_without_ringing_for_waits_that_are_over() -> None:
    deadline, now, task = Deadline(), asyncio.get_running_loop().time, asyncio.current_task()
    assert task is not None
    # The tests before share this task.
    cancelling = task.cancelling()
    for _ in range(5):
        with deadline.until(now() + 0.1):
            await asyncio.sleep(0.04)
    await asyncio.sleep(0.15)
    with deadline.until(now() + 0.1):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), deadline.until(now() + 0.05):
        await asyncio.sleep(5)
    assert task.cancelling() == cancelling
    deadline.close()


async def test_a_deadline_that_is_long_past_ends_the_wait() -> None:
    deadline = Deadline()
    with pytest.raises(TimeoutError), deadline.until(0):
        await asyncio.sleep(5)


async def test_a_cancel_goes_before_a_deadline() -> None:
    started = asyncio.Event()

    async def waiting() -> None:
        with Deadline().until(0):
            started.set()
            await asyncio.sleep(5)

    task = asyncio.create_task(waiting())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
