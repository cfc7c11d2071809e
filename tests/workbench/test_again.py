"""Asking again for what was asked before: the same with the same seed, judged as if it were asked anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from comfy_mcp.errors import BadRequest, InvalidParameter, NotAllowed, NotFound
from comfy_mcp.jobs import Job, JobRequest
from comfy_mcp.texts import request_of
from comfy_mcp.workbench import Workbench
from llm_bridge.chat import ChatRequest
from llm_bridge.messages import Message
from tests.proxy.comfyui.clients import graph_of
from tests.texts import NOWHERE, text_server
from tests.workbenches import settings_for

TINY = {"prompt": "a fox", "steps": 9, "width": 64, "height": 64}


async def given_up(workbench: Workbench, request: JobRequest) -> Job:
    job = await workbench.submit(request)
    return await workbench.cancel(job.id)


async def test_it_is_the_same_with_the_same_seed_and_schedule(tmp_path: Path, embedded_url: str) -> None:
    tagged = {"backends": [{"name": "one", "url": embedded_url, "tags": ["fast"]}]}
    async with Workbench.open(settings_for(tmp_path, embedded_url, **tagged), dispatch=False) as workbench:
        asked = JobRequest("txt2img", TINY, "anime", owner="ann", priority=3, tags=("fast",))
        first = await given_up(workbench, asked)
        again = await workbench.line.again(first.id, "ann")
        assert again.id != first.id and again.bound == first.bound and "seed" in again.values
        assert (again.owner, again.style, again.priority) == ("ann", "anime", 3)
        assert await workbench.store.lineup.needs(again.id) == await workbench.store.lineup.needs(first.id)
        assert "tag:fast" in await workbench.store.lineup.needs(again.id)
        with pytest.raises(NotFound):
            await workbench.line.again(first.id, "bob")


async def test_what_is_locked_or_gone_meanwhile_counts(tmp_path: Path, embedded_url: str) -> None:
    async with Workbench.open(settings_for(tmp_path, embedded_url), dispatch=False) as workbench:
        first = await given_up(workbench, JobRequest("txt2img", TINY))
        workbench.settings = workbench.settings.model_copy(update={"locked": {"txt2img": {"steps": 1}}})
        again = await workbench.line.again(first.id, None)
        assert again.values["steps"] == 1 and "administrator" in again.warnings[0]
        workbench.settings = workbench.settings.model_copy(update={"locked": {"txt2img": {"steps": 99_999}}})
        with pytest.raises(InvalidParameter, match="steps"):
            await workbench.line.again(first.id, None)


async def test_a_graph_runs_again_only_for_who_may_send_one(tmp_path: Path, embedded_url: str) -> None:
    settings = settings_for(tmp_path, embedded_url, comfyui_routes=True)
    async with Workbench.open(settings, dispatch=False) as workbench:
        first = await workbench.graphs.submit(graph_of(), "ann")
        await workbench.cancel(first.id)
        with pytest.raises(NotAllowed):
            await workbench.line.again(first.id, "ann")
        again = await workbench.line.again(first.id, "ann", graphs=True)
        assert (again.owner, again.bound.graph) == ("ann", first.bound.graph)
        assert workbench.line.can_again(first, graphs=True) and not workbench.line.can_again(first, graphs=False)
        workbench.settings = settings.model_copy(update={"comfyui_routes": False})
        assert not workbench.line.can_again(first, graphs=True)
        with pytest.raises(NotAllowed):
            await workbench.line.again(first.id, "ann", graphs=True)


async def test_a_chat_is_asked_again_in_full_with_what_is_locked(tmp_path: Path, picture: bytes) -> None:
    async with text_server() as script:
        settings = settings_for(tmp_path, NOWHERE, llm_url=script.url)
        async with Workbench.open(settings, dispatch=False) as workbench:
            values = {"model": "llm/alpha", "prompt": "the sea " * 500, "system": "Be short.", "stop": ["END"]}
            asset = await workbench.upload(picture)
            values |= {"top_k": 5, "seed": 7, "schema": {"type": "object"}, "image": asset.id}
            first = await given_up(workbench, JobRequest("chat", values, priority=-1))
            again = await workbench.line.again(first.id, None)
            assert (again.bound.chat, again.priority) == (first.bound.chat, -1) and again.id != first.id
            assert "server:llm" in await workbench.store.lineup.needs(again.id)
            workbench.settings = settings.model_copy(update={"locked": {"chat": {"top_k": 1}}})
            locked = await workbench.line.again(first.id, None)
            assert (
                request_of(replace(locked.bound, chat={**(locked.bound.chat or {}), "images": []}), {}).sampling.top_k
                == 1
            )


async def test_a_talk_of_several_turns_is_left_to_who_asked_it(tmp_path: Path) -> None:
    async with text_server() as script:
        settings = settings_for(tmp_path, NOWHERE, llm_url=script.url)
        async with Workbench.open(settings, dispatch=False) as workbench:
            talk = (Message.user("the sea"), Message.assistant("It is blue."), Message.user("And the sky?"))
            job = await workbench.chats.submit(ChatRequest("alpha", talk), JobRequest("chat"))
            assert not workbench.line.can_again(job, graphs=True)
            with pytest.raises(BadRequest, match="cannot be asked again"):
                await workbench.line.again(job.id, None)
