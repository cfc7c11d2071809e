"""Chats for clients that wait: told as they come, checked as stored ones are, and nothing of them is stored."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image as Pictures

from comfy_mcp.errors import (
    BackendError,
    BackendUnavailable,
    InvalidImage,
    InvalidParameter,
    OutputUnreadable,
    Overloaded,
    TimedOut,
    TooLarge,
    WorkbenchError,
)
from comfy_mcp.settings import Settings
from comfy_mcp.workbench import Workbench
from llm_bridge.chat import ChatRequest, Done, Reasoning, Restarted, Sampling, Tool, ToolCallPiece, Waiting
from llm_bridge.messages import Image, Message, ToolCall
from tests.bridge.servers import End, Script, chunk, json_answer, sse, stream
from tests.texts import CHAT, NOWHERE, hanging, models_asked, says, text_server
from tests.workbench.streaming import answer, asking, text_of
from tests.workbenches import settings_for

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CALLS = stream(
    sse(
        chunk(reasoning_content="I need the weather."),
        chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": '{"at":'}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": ' "Ulm"}'}}], finish="tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}},
    )
)


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


def settings(data: Path, server: Script, **more: Any) -> Settings:
    return settings_for(data, NOWHERE, llm_url=server.url, **more)


@pytest.fixture
async def workbench(tmp_path: Path, server: Script) -> AsyncGenerator[Workbench]:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        yield workbench


async def test_an_answer_is_told_as_it_comes_and_nothing_of_it_is_stored(workbench: Workbench, server: Script) -> None:
    more = asyncio.Event()
    server.on(CHAT, hanging(more))
    with anyio.fail_after(20):
        async with workbench.streams.open(asking(sampling=Sampling(temperature=0.5, seed=3))) as stream:
            assert (stream.model, stream.server, stream.because) == ("alpha", "llm", "")
            assert text_of([await anext(stream)]) == "Once"
            more.set()
            assert text_of([event async for event in stream]) == " more."
            assert (stream.reply.text, stream.reply.server, stream.reply.finish) == ("Once more.", "llm", "stop")
    assert list(await workbench.jobs()) == [] and list(await workbench.active()) == []
    (body,) = server.bodies(CHAT)
    assert (body["temperature"], body["seed"]) == (0.5, 3)


async def test_what_is_asked_right_after_the_start_is_not_stored_either(tmp_path: Path, server: Script) -> None:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        _, reply = await answer(workbench, asking())
        assert reply.text == "alpha on the sea"
        assert list(await workbench.jobs()) == []


async def test_thoughts_tool_calls_and_usage_come_through(workbench: Workbench, server: Script) -> None:
    server.on(CHAT, CALLS)
    tool = Tool("weather", parameters={"type": "object", "properties": {"at": {"type": "string"}}})
    events, reply = await answer(workbench, asking(tools=(tool,)))
    assert events[0] == Reasoning("I need the weather.")
    assert "".join(event.arguments for event in events if isinstance(event, ToolCallPiece)) == '{"at": "Ulm"}'
    assert isinstance(events[-1], Done) and events[-1].usage.completion == 5
    assert (reply.tool_calls, reply.finish) == ((ToolCall("c1", "weather", '{"at": "Ulm"}'),), "tool_calls")
    assert server.bodies(CHAT)[0]["tools"][0]["function"]["name"] == "weather"


async def test_an_answer_that_does_not_fit_its_schema_is_asked_for_once_more(
    workbench: Workbench, server: Script
) -> None:
    server.on(CHAT, says("no json"), says('{"n": 3}'))
    events, reply = await answer(workbench, asking(schema=SCHEMA))
    restart = next(number for number, event in enumerate(events) if isinstance(event, Restarted))
    assert (text_of(events[:restart]), text_of(events[restart:])) == ("no json", '{"n": 3}')
    assert reply.data == {"n": 3}
    server.on(CHAT, says("no json"))
    with pytest.raises(OutputUnreadable):
        await answer(workbench, asking(schema=SCHEMA))


async def test_the_choice_may_be_left_to_us_and_is_explained(workbench: Workbench) -> None:
    async with workbench.streams.open(asking(model="auto")) as stream:
        assert stream.model in ("alpha", "beta") and stream.model in stream.because
        assert [event async for event in stream]


async def test_the_model_of_a_named_server_is_asked_there_under_its_own_name(
    workbench: Workbench, server: Script
) -> None:
    async with workbench.streams.open(asking(model="llm/beta")) as stream:
        assert (stream.server, stream.model) == ("llm", "beta")
        assert [event async for event in stream]
    assert models_asked(server) == ["beta"]


@pytest.mark.parametrize(
    ("asked", "failure", "match"),
    [
        (asking(model="alhpa"), InvalidParameter, "alpha"),
        (asking(model="auto:nonsense"), InvalidParameter, "nonsense"),
        (asking(" "), InvalidParameter, "nothing to ask"),
        (asking("x" * 2_000_001), TooLarge, "longer than"),
        (asking(schema={"type": "nothing"}), InvalidParameter, "schema"),
        (
            ChatRequest("alpha", (Message("user", ("look", Image(b"GIF89a", "image/gif"))),)),
            InvalidImage,
            "not complete",
        ),
    ],
)
async def test_what_no_model_takes_is_refused_before_anybody_is_asked(
    workbench: Workbench, server: Script, asked: ChatRequest, failure: type[WorkbenchError], match: str
) -> None:
    with pytest.raises(failure, match=match):
        await answer(workbench, asked)
    assert server.bodies(CHAT) == []


async def test_a_picture_is_shown_without_what_its_camera_noted(workbench: Workbench, server: Script) -> None:
    made, noted = io.BytesIO(), Pictures.Exif()
    noted[0x010E] = "taken at home"
    Pictures.new("RGB", (8, 8)).save(made, "JPEG", exif=noted)
    shown = Message("user", ("What is it?", Image(made.getvalue(), "image/jpeg")))
    await answer(workbench, ChatRequest("alpha", (shown,)))
    (body,) = server.bodies(CHAT)
    url = next(part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url")
    assert url.startswith("data:image/") and b"taken at home" in made.getvalue()
    assert b"taken at home" not in base64.b64decode(url.partition(",")[2])


async def test_one_slot_is_given_to_one_after_the_other(workbench: Workbench, server: Script) -> None:
    more = asyncio.Event()
    server.on(CHAT, hanging(more), says("The second."))
    with anyio.fail_after(20):
        async with workbench.streams.open(asking()) as first, workbench.streams.open(asking()) as second:
            await anext(first)
            assert await anext(second) == Waiting(0)
            more.set()
            assert text_of([event async for event in first]) == " more."
            assert text_of([event async for event in second]) == "The second."
    assert server.most == 1


async def test_a_hundred_are_answered_at_once_by_a_server_that_has_room(tmp_path: Path, server: Script) -> None:
    more = asyncio.Event()
    server.on(CHAT, lambda _: hanging(more))
    told = settings_for(tmp_path, NOWHERE, llm_servers=[{"name": "wide", "url": server.url, "concurrency": 100}])
    async with Workbench.open(told) as workbench:
        texts = list[str]()

        async def ask() -> None:
            texts.append((await answer(workbench, asking(model="wide/alpha")))[1].text)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)
            while len(server.bodies(CHAT)) < 100:
                await anyio.sleep(0.01)
            more.set()
    assert texts == ["Once more."] * 100 and server.most >= 100


async def test_who_leaves_ends_the_answer_at_its_server_and_frees_the_slot(
    workbench: Workbench, server: Script
) -> None:
    server.on(CHAT, hanging(asyncio.Event()), says("The second."))
    with anyio.fail_after(20):
        async with workbench.streams.open(asking()) as first:
            await anext(first)
        with anyio.fail_after(1):
            await server.aborted.wait()
        assert (await answer(workbench, asking()))[1].text == "The second."


async def test_a_stream_may_be_read_and_left_in_other_tasks_than_it_was_opened_in(
    workbench: Workbench, server: Script
) -> None:
    """As a web framework does, which reads what a handler opened."""
    server.on(CHAT, hanging(asyncio.Event()))
    opened = workbench.streams.open(asking())
    stream = await opened.__aenter__()
    assert text_of([await asyncio.create_task(anext(stream))]) == "Once"  # type: ignore[arg-type]
    await asyncio.create_task(opened.__aexit__(None, None, None))
    with anyio.fail_after(1):
        await server.aborted.wait()


async def test_too_many_that_wait_are_refused(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, hanging(asyncio.Event()))
    async with (
        Workbench.open(settings(tmp_path, server, max_queue=1)) as workbench,
        workbench.streams.open(asking()) as first,
    ):
        await anext(first)
        async with workbench.streams.open(asking()):
            with pytest.raises(Overloaded) as refused:
                await answer(workbench, asking())
    assert refused.value.details["retry_after"] >= 1


async def test_an_answer_that_breaks_off_is_an_error_and_not_asked_again(workbench: Workbench, server: Script) -> None:
    server.on(CHAT, stream(sse(chunk("Once"), done=False), End.RESET), says("Another answer."))
    with anyio.fail_after(20), pytest.raises(BackendError, match="Ask again"):
        async with workbench.streams.open(asking()) as told:
            assert text_of([await anext(told)]) == "Once"
            await anext(told)
    assert len(server.bodies(CHAT)) == 1


async def test_a_server_that_went_away_is_waited_for(tmp_path: Path) -> None:
    async with text_server() as server:
        told = settings(tmp_path, server, backend_gone=1)
        async with Workbench.open(told) as workbench:
            assert (await answer(workbench, asking()))[1].text == "alpha on the sea"
            server.on(CHAT, stream(End.RESET), stream(End.RESET), stream(End.RESET), says("It is back."))
            assert (await answer(workbench, asking()))[1].text == "It is back."
            server.on(CHAT, json_answer({"error": {"message": "busy"}}, 503))
            server.on("GET /v1/models", json_answer({"error": {"message": "down"}}, 503))
            with pytest.raises(BackendUnavailable):
                await answer(workbench, asking())


async def test_an_answer_that_takes_too_long_is_ended_at_its_server(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, hanging(asyncio.Event()))
    async with Workbench.open(settings(tmp_path, server, job_timeout=0.3)) as workbench:
        with pytest.raises(TimedOut, match="job_timeout"):
            await answer(workbench, asking())
        with anyio.fail_after(1):
            await server.aborted.wait()


async def test_without_any_server_it_is_said_how_to_set_one_up(tmp_path: Path) -> None:
    async with Workbench.open(settings_for(tmp_path, NOWHERE)) as workbench:
        with pytest.raises(BackendUnavailable, match="llm scan"):
            await answer(workbench, asking())


async def test_what_another_process_answers_is_a_job_that_is_followed(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, CALLS, says("A whole answer."))
    async with (
        Workbench.open(settings(tmp_path, server)) as dispatching,
        Workbench.open(settings(tmp_path, server), dispatch=False) as other,
    ):
        events, reply = await answer(other, asking())
        assert [type(event) for event in events if not isinstance(event, Waiting)] == [Reasoning, ToolCallPiece, Done]
        assert reply.tool_calls == (ToolCall("c1", "weather", '{"at": "Ulm"}'),)
        events, reply = await answer(other, asking())
        assert text_of(events) == reply.text == "A whole answer."
        assert len(await dispatching.jobs()) == 2


async def test_who_leaves_what_another_process_answers_cancels_its_job(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, hanging(asyncio.Event()))
    async with (
        Workbench.open(settings(tmp_path, server)) as dispatching,
        Workbench.open(settings(tmp_path, server), dispatch=False) as other,
    ):
        with anyio.fail_after(20):
            async with other.streams.open(asking()) as stream:
                async for event in stream:
                    if text_of([event]):
                        break
            await server.aborted.wait()
        (job,) = await dispatching.jobs()
        assert (await dispatching.wait(job.id, 10)).state == "cancelled"


async def test_an_answer_without_an_end_is_ended(workbench: Workbench, server: Script) -> None:
    server.on(CHAT, stream(*[sse(chunk("x" * 500_000), done=False)] * 9))
    with pytest.raises(OutputUnreadable, match="longer than"):
        await answer(workbench, asking())
