"""Chats with language models as jobs: queued, answered, cancelled, found again, and in turn with pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from comfy_mcp.errors import BackendUnavailable, Conflict, InvalidParameter, WorkbenchError
from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.settings import Settings
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from llm_bridge.chat import ChatRequest, Event, Text
from llm_bridge.errors import ServerError, UnknownModel
from llm_bridge.messages import Message
from tests.bridge.providers.scripted import Router
from tests.bridge.servers import End, Script, chunk, json_answer, scripted, sse, stream
from tests.texts import CHAT, NOWHERE, hanging, says, text_server
from tests.workbenches import settings_for


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


def settings(data: Path, server: Script, comfyui: str = NOWHERE, **more: Any) -> Settings:
    return settings_for(data, comfyui, llm_url=server.url, **more)


def chat(model: str = "alpha", prompt: str = "the sea", **values: Any) -> JobRequest:
    return JobRequest("chat", {"model": model, "prompt": prompt, **values})


async def ended(workbench: Workbench, job: Job) -> Job:
    with anyio.fail_after(30):
        return await workbench.wait(job.id, 30)


def text_of(job: Job) -> Any:
    return next(output.value for output in job.outputs if output.kind == "text")


async def test_a_chat_is_a_job_that_answers_text(tmp_path: Path, server: Script) -> None:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        asked = chat(system="Be short.", temperature="0.5", seed=3, stop=["END"])
        job = await ended(workbench, await workbench.submit(asked))

    assert (job.state, job.template, job.model, job.backend) == (JobState.SUCCEEDED, "chat", "alpha", "llm")
    assert text_of(job) == "alpha on the sea"
    reply = next(output.value for output in job.outputs if output.kind == "reply")
    assert (reply["usage"]["completion"], reply["finish"], reply["server"]) == (2, "stop", "llm")
    assert reply["metrics"]["ttft"] > 0
    (body,) = server.bodies(CHAT)
    assert (body["temperature"], body["seed"], body["stop"]) == (0.5, 3, ["END"])
    assert body["messages"][0] == {"role": "system", "content": "Be short."}
    assert job.values["prompt"] == "the sea"


async def test_a_picture_goes_to_the_model_from_our_storage(tmp_path: Path, server: Script, picture: bytes) -> None:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        asset = await workbench.upload(picture)
        server.on(CHAT, says("A gradient."))
        job = await ended(workbench, await workbench.submit(chat(image=asset.id)))

    assert job.state is JobState.SUCCEEDED
    shown, said = server.bodies(CHAT)[0]["messages"][0]["content"]
    assert shown["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert said == {"type": "text", "text": "the sea"}


@pytest.mark.parametrize(
    ("values", "parameter"),
    [
        ({"prompt": ""}, "prompt"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"seed": -1}, "seed"),
        ({"schema": "{"}, "schema"),
        ({"temprature": 1}, "temprature"),
        ({"model": 7}, "model"),
    ],
)
async def test_a_value_that_no_chat_takes_is_refused_before_anybody_is_asked(
    tmp_path: Path, server: Script, values: dict[str, Any], parameter: str
) -> None:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        with pytest.raises(InvalidParameter) as refused:
            await workbench.submit(JobRequest("chat", {"model": "alpha", "prompt": "x", **values}))
        assert refused.value.parameter == parameter
        assert list(await workbench.jobs()) == []
    assert server.received == []


async def test_an_unknown_model_is_refused_and_no_server_is_told_of(tmp_path: Path, server: Script) -> None:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        with pytest.raises(InvalidParameter, match=r"alhpa.*alpha"):
            await workbench.submit(chat("alhpa"))
    async with Workbench.open(settings_for(tmp_path, NOWHERE)) as workbench:
        with pytest.raises(BackendUnavailable, match="llm scan"):
            await workbench.submit(chat())


async def test_the_same_key_is_the_same_job_and_another_question_a_conflict(tmp_path: Path, server: Script) -> None:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        first = await workbench.submit(chat(), "once")
        again = await workbench.submit(chat(), "once")
        with pytest.raises(Conflict):
            await workbench.submit(chat(prompt="the moon"), "once")
        await ended(workbench, first)
    assert first.id == again.id
    assert len(server.bodies(CHAT)) == 1


async def test_jobs_of_one_model_run_together(tmp_path: Path, server: Script) -> None:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        await workbench.set_mode("llm", Mode.PAUSED)
        jobs = [await workbench.submit(chat(["alpha", "beta"][number % 2])) for number in range(8)]
        await workbench.set_mode("llm", Mode.ACTIVE)
        for job in jobs:
            assert (await ended(workbench, job)).state is JobState.SUCCEEDED
    asked = [body["model"] for body in server.bodies(CHAT)]
    assert sum(one != two for one, two in pairwise(asked)) == 1


async def test_a_cancel_closes_the_socket_and_stops_nobody_else(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, hanging(asyncio.Event()), says("Still here."))
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        job, other = await workbench.submit(chat()), await workbench.submit(chat(prompt="the moon"))
        await growing(workbench, job)
        await workbench.cancel(job.id)
        assert (await ended(workbench, job)).state is JobState.CANCELLED
        with anyio.fail_after(2):
            await server.aborted.wait()
        assert text_of(await ended(workbench, other)) == "Still here."


async def test_a_server_that_breaks_off_is_asked_again(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, stream(sse(chunk("Once"), done=False), End.RESET), says("Once more."))
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        job = await ended(workbench, await workbench.submit(chat()))
    assert (job.state, job.attempts, text_of(job)) == (JobState.SUCCEEDED, 2, "Once more.")


async def test_what_runs_when_the_workbench_ends_is_asked_again_by_the_next(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, hanging(asyncio.Event()), says("In the end."))
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        job = await workbench.submit(chat())
        await growing(workbench, job)
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        done = await ended(workbench, job)
    assert (done.state, text_of(done)) == (JobState.SUCCEEDED, "In the end.")


async def test_what_a_server_refuses_fails_the_job_in_its_words(tmp_path: Path, server: Script) -> None:
    refused = {"error": {"message": "This model does not support tools", "type": "invalid_request_error"}}
    server.on(CHAT, stream(sse(refused, done=False)))
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        job = await ended(workbench, await workbench.submit(chat()))
    assert job.state is JobState.FAILED
    assert job.error is not None and "does not support tools" in job.error.message and job.error.hint


async def test_text_and_pictures_on_one_card_take_turns(tmp_path: Path, embedded_url: str) -> None:
    async with scripted() as script:
        Router()(script)
        servers = [{"name": "router", "url": script.url, "card": "gpu0"}]
        comfyui = [{"name": "studio", "url": embedded_url, "card": "gpu0"}]
        told = Settings.model_validate({"data": tmp_path, "port": 0, "backends": comfyui, "llm_servers": servers})
        async with Workbench.open(told) as workbench:
            small = {"prompt": "a red house", "width": 64, "height": 64, "steps": 2}
            text = await workbench.submit(chat("tiny-think"))
            image = await workbench.submit(JobRequest("txt2img", small))
            told_text, told_image = await ended(workbench, text), await ended(workbench, image)
    assert (told_text.state, told_image.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert told_text.finished is not None and told_image.started is not None
    assert told_text.finished <= told_image.started
    # Before the picture, the model that the text needed left the card.
    assert [body["model"] for body in script.bodies("POST /models/unload")] == ["tiny-think"]


async def test_asking_waits_for_the_reply_and_tells_how_it_grows(tmp_path: Path, server: Script) -> None:
    go_on = asyncio.Event()
    server.on(CHAT, hanging(go_on))
    events: list[Event] = []

    def see(event: Event) -> None:
        events.append(event)
        if isinstance(event, Text):
            go_on.set()

    request = ChatRequest("alpha", (Message.user("the sea"),))
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        with anyio.fail_after(20):
            reply = await workbench.chats.ask("key", request, see)
            again = await workbench.chats.ask("key", request, see)
    assert (reply.text, reply.server) == ("Once more.", "llm")
    assert reply.metrics.queued is not None and reply.metrics.ttft is not None
    assert again == reply and len(server.bodies(CHAT)) == 1
    assert Text("Once") in events


async def test_asking_raises_what_the_bridge_would_and_asks_again_the_next_time(tmp_path: Path, server: Script) -> None:
    gone = stream(sse({"error": {"message": "model 'alpha' not found, try pulling it first"}}, done=False))
    server.on(CHAT, gone, says("Back."))
    request = ChatRequest("alpha", (Message.user("the sea"),))
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        with anyio.fail_after(20), pytest.raises(UnknownModel, match="try pulling it"):
            await workbench.chats.ask("key", request, lambda event: None)
        assert (await workbench.chats.ask("key", request, lambda event: None)).text == "Back."
    async with Workbench.open(settings_for(tmp_path / "other", NOWHERE)) as workbench:
        with pytest.raises(ServerError, match="No LLM server"):
            await workbench.chats.ask("key", request, lambda event: None)


async def test_names_and_patterns_stand_for_models(tmp_path: Path, server: Script) -> None:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        named = workbench.chats.named
        assert await named(["*"]) == ["llm/alpha", "llm/beta"]
        assert await named(["beta", "llm/*a", "b*"]) == ["llm/beta", "llm/alpha"]
        for unknown in ("gamma", "x*"):
            with pytest.raises(WorkbenchError, match=r"gamma|x\*"):
                await named([unknown])


async def growing(workbench: Workbench, job: Job) -> None:
    with anyio.fail_after(20):
        async for current in workbench.follow(job.id):
            if current.progress.text:
                return


async def test_a_key_that_is_refused_fails_the_job_and_is_not_tried_again_and_again(
    tmp_path: Path, server: Script
) -> None:
    server.on(CHAT, json_answer({"error": {"message": "Incorrect API key provided"}}, 401))
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        job = await ended(workbench, await workbench.submit(chat()))
    assert job.state is JobState.FAILED
    assert job.error is not None and "Incorrect API key" in job.error.message and job.error.hint
    assert len(server.bodies(CHAT)) == 1
