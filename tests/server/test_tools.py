"""The tools through the official client, over HTTP and stdio, against a real engine."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from tests.server.chats import FRESH, JOB, SMALL, TRANSPORTS, over_http, pictures_of, text_of
from tests.workbenches import settings_for


@pytest.fixture(params=TRANSPORTS)
async def chat(request: pytest.FixtureRequest, tmp_path: Path, embedded_url: str) -> AsyncGenerator[Client]:
    async with TRANSPORTS[request.param](tmp_path, embedded_url) as client:
        yield client


@pytest.mark.requirement("R11")
async def test_a_call_comes_back_as_text_and_picture(chat: Client) -> None:
    result = await chat.call_tool("txt2img", {**SMALL, "style": "cinematic"})

    assert not result.is_error, result
    assert [block.type for block in result.content] == ["text", "image"]
    told = text_of(result)
    for fact in ("seed 7", "64×64", "style cinematic", "steps 3"):
        assert fact in told
    assert JOB.search(told)
    assert "procedural preview, not a diffusion model" in told
    (picture,) = pictures_of(result)
    assert picture.size == (64, 64)


@pytest.mark.requirement("R10")
async def test_every_step_is_reported(chat: Client) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    await chat.call_tool("txt2img", {**FRESH, "steps": 20}, progress_callback=hear)

    assert heard == sorted(set(heard))
    assert len(heard) >= 20


async def test_the_picture_of_a_job_is_the_input_of_the_next(chat: Client) -> None:
    first = await chat.call_tool("txt2img", SMALL)
    job = JOB.search(text_of(first))
    assert job

    second = await chat.call_tool("img2img", {"prompt": "make it darker", "image": job[1], "steps": 2})

    assert not second.is_error, text_of(second)
    assert pictures_of(second)


async def test_a_picture_can_come_as_base64(chat: Client, picture: bytes) -> None:
    data = "data:image/png;base64," + base64.b64encode(picture).decode()
    result = await chat.call_tool("img2img", {"prompt": "snow", "image": data, "steps": 2})
    assert not result.is_error, text_of(result)


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("txt2img", {**SMALL, "scheduler": "karas"}, "karras"),
        ("txt2img", {**SMALL, "steps": 0}, "steps"),
        ("txt2img", {**SMALL, "style": "cinematik"}, "cinematic"),
        ("txt2img", {}, "prompt"),
        ("img2img", {"prompt": "x", "image": "http://127.0.0.1/x.png"}, "image"),
        ("img2img", {"prompt": "x", "image": "!" * 100}, "image"),
        ("get_result", {"job_id": "nope"}, "job"),
        ("get_result", {}, "job_id"),
        ("cancel_job", {"job_id": 5}, "job_id"),
        ("describe_template", {"template": "txt2image"}, "txt2img"),
        ("run_template", {"template": "txt2img", "values": 5}, "values"),
    ],
)
@pytest.mark.requirement("R15")
async def test_errors_say_what_to_do(chat: Client, tool: str, arguments: dict[str, Any], told: str) -> None:
    result = await chat.call_tool(tool, arguments)

    assert result.is_error
    assert text_of(result).startswith("Error: ")
    assert told in text_of(result)


@pytest.mark.requirement("R17")
async def test_the_list_is_small_and_names_everything(chat: Client) -> None:
    listed = await chat.list_tools()

    names = [tool.name for tool in listed.tools]
    assert {"txt2img", "img2img", "inpaint", "upscale", "get_result", "cancel_job", "list_templates"} <= set(names)
    wire = json.dumps(
        {"tools": [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in listed.tools]},
        separators=(",", ":"),
    )
    assert len(wire.encode()) <= 8192
    for tool in listed.tools:
        assert re.fullmatch(r"[a-z0-9_]{1,32}", tool.name)
        assert tool.description
        for name, schema in tool.input_schema.get("properties", {}).items():
            assert schema.get("description"), (tool.name, name)
            assert len(schema.get("enum", [])) <= 8 or name == "style"


async def test_a_template_that_is_not_listed_can_be_called(chat: Client) -> None:
    values = {name: value for name, value in SMALL.items() if name != "seed"}
    result = await chat.call_tool("run_template", {"template": "txt2img_lora", "values": values})
    assert not result.is_error, text_of(result)
    assert pictures_of(result)


async def test_describe_template_lists_every_choice(chat: Client) -> None:
    told = text_of(await chat.call_tool("describe_template", {"template": "txt2img"}))
    assert "dpmpp_2m" in told and "karras" in told


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.requirement("R8")
@pytest.mark.requirement("R9")
async def test_a_job_that_takes_longer_is_answered_with_its_id(tmp_path: Path, slow_url: str, transport: str) -> None:
    async with TRANSPORTS[transport](tmp_path, slow_url, wait=0.5) as chat:
        with anyio.fail_after(10):
            first = await chat.call_tool("txt2img", {**FRESH, "steps": 10})
        assert not first.is_error
        assert "get_result" in text_of(first)
        assert not pictures_of(first)
        job = JOB.search(text_of(first))
        assert job
        with anyio.fail_after(30):
            while not pictures_of(result := await chat.call_tool("get_result", {"job_id": job[1]})):
                assert not result.is_error, text_of(result)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.requirement("R9")
async def test_a_cancelled_job_stops(tmp_path: Path, slow_url: str, transport: str) -> None:
    async with TRANSPORTS[transport](tmp_path, slow_url, wait=0.5) as chat:
        first = await chat.call_tool("txt2img", {**FRESH, "steps": 150})
        job = JOB.search(text_of(first))
        assert job
        with anyio.fail_after(20):
            while "cancelled" not in text_of(await chat.call_tool("cancel_job", {"job_id": job[1]})):
                pass


@pytest.mark.requirement("R6")
async def test_tools_are_listed_without_a_comfyui(tmp_path: Path) -> None:
    async with over_http(tmp_path, "http://127.0.0.1:9") as chat:
        assert "txt2img" in [tool.name for tool in (await chat.list_tools()).tools]
        result = await chat.call_tool("txt2img", SMALL)
        assert result.is_error
        assert "ComfyUI" in text_of(result)


async def test_a_cheap_call_does_not_wait_for_a_picture(tmp_path: Path, slow_url: str) -> None:
    async with over_http(tmp_path, slow_url) as chat, anyio.create_task_group() as tasks:
        tasks.start_soon(chat.call_tool, "txt2img", {**FRESH, "steps": 100})
        await anyio.sleep(0.5)
        with anyio.fail_after(2):
            assert not (await chat.call_tool("list_templates", {})).is_error
        tasks.cancel_scope.cancel()


@pytest.mark.requirement("R16")
async def test_pictures_can_be_left_out(tmp_path: Path, embedded_url: str) -> None:
    async with over_http(tmp_path, embedded_url, inline_images="never") as chat:
        result = await chat.call_tool("txt2img", SMALL)
        assert [block.type for block in result.content] == ["text"]
        assert "/api/v1/assets/" in text_of(result)


@pytest.mark.requirement("R12")
async def test_a_big_picture_is_fitted_into_the_budget(tmp_path: Path, embedded_url: str) -> None:
    async with over_http(tmp_path, embedded_url, inline_bytes=30_000) as chat:
        result = await chat.call_tool("txt2img", {**SMALL, "width": 768, "height": 768})
        (block,) = [block for block in result.content if isinstance(block, types.ImageContent)]
        assert len(base64.b64decode(block.data)) <= 30_000
        assert "768×768" in text_of(result)


async def test_the_same_key_is_the_same_job(chat: Client) -> None:
    first = await chat.call_tool("txt2img", {**FRESH, "idempotency_key": "once"})
    again = await chat.call_tool("run_template", {"template": "txt2img", "values": FRESH, "idempotency_key": "once"})
    other = await chat.call_tool("txt2img", {**FRESH, "steps": 4, "idempotency_key": "once"})

    assert JOB.findall(text_of(first)) == JOB.findall(text_of(again))
    assert other.is_error and "another request" in text_of(other)
    for bad in (5, "x" * 256, ["a"]):
        refused = await chat.call_tool("txt2img", {**FRESH, "idempotency_key": bad})
        assert refused.is_error and "idempotency_key" in text_of(refused)


@pytest.mark.requirement("R9")
async def test_jobs_are_listed_with_how_far_they_are(chat: Client) -> None:
    assert text_of(await chat.call_tool("list_jobs", {})) == "There are no jobs."
    made = await chat.call_tool("txt2img", FRESH)
    (job,) = JOB.findall(text_of(made))
    assert text_of(await chat.call_tool("list_jobs", {})) == f"{job} txt2img: succeeded"


async def test_a_job_that_no_backend_may_start_says_so(tmp_path: Path, embedded_url: str) -> None:
    async with over_http(tmp_path, embedded_url, wait=1.5) as chat:
        async with Workbench.open(settings_for(tmp_path, embedded_url), dispatch=False) as other:
            await other.set_mode("comfyui", Mode.PAUSED)
        await anyio.sleep(1.5)  # an order from another process is heeded within a second
        told = text_of(await chat.call_tool("txt2img", FRESH))
        assert "Every backend is paused" in told and "queued" in told
        listed = text_of(await chat.call_tool("list_jobs", {}))
        assert "queued, next" in listed
