"""Pictures, jobs and templates by address, ready prompts, completions, and word of what changed."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.shared.exceptions import MCPError
from PIL import Image

from comfy_mcp.apps import FORM
from comfy_mcp.server import changes
from comfy_mcp.workflows import shipped_folder
from tests.server.chats import FRESH, JOB, SMALL, TRANSPORTS, in_memory, in_sessions, over_http, over_stdio, text_of

APPS = "io.modelcontextprotocol/ui"
PAGE = "ui://workbench/app"


@pytest.fixture(params=TRANSPORTS)
async def chat(request: pytest.FixtureRequest, tmp_path: Path, embedded_url: str) -> AsyncGenerator[Client]:
    async with TRANSPORTS[request.param](tmp_path, embedded_url) as client:
        yield client


@pytest.fixture
async def memory(tmp_path: Path, embedded_url: str) -> AsyncGenerator[Client]:
    async with in_memory(tmp_path, embedded_url) as client:
        yield client


async def made(chat: Client, **values: Any) -> str:
    (job,) = JOB.findall(text_of(await chat.call_tool("txt2img", {**SMALL, **values})))
    return job


async def read_json(chat: Client, uri: str) -> Any:
    (content,) = (await chat.read_resource(uri)).contents
    assert isinstance(content, types.TextResourceContents) and content.mime_type == "application/json"
    return json.loads(content.text)


async def read_picture(chat: Client, uri: str) -> tuple[Image.Image, bytes]:
    (content,) = (await chat.read_resource(uri)).contents
    assert isinstance(content, types.BlobResourceContents)
    data = base64.b64decode(content.blob, validate=True)
    picture = Image.open(io.BytesIO(data))
    assert content.mime_type == Image.MIME[picture.format or ""]
    return picture, data


async def test_a_job_and_its_pictures_are_read_by_address(chat: Client) -> None:
    job = await made(chat)

    told = await read_json(chat, f"job://{job}")

    assert (told["state"], told["values"]["seed"], told["error"]) == ("succeeded", 7, None)
    (picture,) = told["pictures"]
    original, data = await read_picture(chat, f"asset://{picture['id']}")
    assert (original.size == (64, 64) and b"parameters" in data) or b"workflow" in data or b"prompt" in data
    preview, _ = await read_picture(chat, f"asset://{picture['id']}/preview")
    assert preview.size == (64, 64)
    listed = (await chat.list_resources()).resources
    assert f"asset://{picture['id']}" in [resource.uri for resource in listed]
    assert {resource.mime_type for resource in listed} == {"application/json", "image/png"}


async def test_templates_are_read_by_address(chat: Client) -> None:
    uris = [resource.uri for resource in (await chat.list_resources()).resources]
    assert "template://txt2img" in uris and PAGE not in uris
    told = await read_json(chat, "template://txt2img")
    sampler = next(parameter for parameter in told["parameters"] if parameter["name"] == "sampler")
    assert "dpmpp_2m" in sampler["choices"]
    shapes = {each.uri_template for each in (await chat.list_resource_templates()).resource_templates}
    assert shapes == {"template://{id}", "job://{id}", "asset://{id}", "asset://{id}/preview"}


@pytest.mark.parametrize(
    "uri", ["job://nobody", "asset://nobody", "template://nobody", "ui://other", "file:///etc/passwd", "asset://a/b"]
)
async def test_what_is_not_there_is_said_so(memory: Client, uri: str) -> None:
    with pytest.raises(MCPError) as caught:
        await memory.read_resource(uri)
    assert caught.value.error.code == types.INVALID_PARAMS
    assert "Traceback" not in str(caught.value)


async def test_a_session_is_told_with_the_code_of_its_era(tmp_path: Path, embedded_url: str) -> None:
    async with in_sessions(tmp_path, embedded_url) as chat:
        with pytest.raises(MCPError) as caught:
            await chat.read_resource("job://nobody")
    assert caught.value.error.code == -32002


@pytest.mark.requirement("R19")
async def test_nobody_reads_what_is_somebody_elses(tmp_path: Path, embedded_url: str) -> None:
    more: dict[str, Any] = {"forwarded_users": True}
    async with over_http(tmp_path, embedded_url, headers={"X-User-Id": "ann"}, **more) as ann:
        job = await made(ann)
        asset = (await read_json(ann, f"job://{job}"))["pictures"][0]["id"]
    async with over_http(tmp_path, embedded_url, headers={"X-User-Id": "bob"}, **more) as bob:
        for uri in (f"job://{job}", f"asset://{asset}", f"asset://{asset}/preview"):
            with pytest.raises(MCPError):
                await bob.read_resource(uri)
        assert asset not in str(await bob.list_resources())


async def test_prompts_are_ready_requests(chat: Client) -> None:
    prompts = {prompt.name: prompt for prompt in (await chat.list_prompts()).prompts}
    assert set(prompts) == {"illustrate_chat", "iterate_picture", "compare_models"}
    assert all(prompt.description and prompt.title for prompt in prompts.values())
    given = {"change": "make it {darker}", "job": "abc"}
    (message,) = (await chat.get_prompt("iterate_picture", given)).messages
    assert isinstance(message.content, types.TextContent)
    assert "make it {darker}. Take abc." in message.content.text
    (message,) = (await chat.get_prompt("illustrate_chat")).messages
    assert isinstance(message.content, types.TextContent) and "{" not in message.content.text
    for name, arguments in (("nothing", {}), ("compare_models", {"models": "a"})):
        with pytest.raises(MCPError):
            await chat.get_prompt(name, arguments)


async def test_arguments_and_addresses_are_completed(memory: Client) -> None:
    job = await made(memory)

    async def values(ref: Any, name: str, begun: str) -> list[str]:
        return (await memory.complete(ref, {"name": name, "value": begun})).completion.values

    def prompt(name: str) -> types.PromptReference:
        return types.PromptReference(name=name)

    def shape(uri: str) -> types.ResourceTemplateReference:
        return types.ResourceTemplateReference(uri=uri)

    assert "cinematic" in await values(prompt("illustrate_chat"), "style", "cin")
    assert await values(prompt("iterate_picture"), "job", job[:6]) == [job]
    assert await values(prompt("illustrate_chat"), "nothing", "") == []
    assert await values(shape("template://{id}"), "id", "img") == ["img2img"]
    assert await values(shape("job://{id}"), "id", "") == [job]
    (asset,) = await values(shape("asset://{id}"), "id", "")
    first = (await values(prompt("compare_models"), "models", ""))[0]
    assert f"{first}, x" not in await values(prompt("compare_models"), "models", f"{first},")
    assert (await values(prompt("compare_models"), "models", f"{first},"))[0].startswith(f"{first},")
    assert asset in (await read_json(memory, f"job://{job}"))["pictures"][0]["id"]


async def test_a_new_template_is_told_of_and_listed(tmp_path: Path, embedded_url: str) -> None:
    for number, transport in enumerate((over_http, over_stdio, in_memory)):
        data = tmp_path / str(number)
        async with transport(data, embedded_url, tools_bytes=20_000) as chat:
            assert "mine" not in [tool.name for tool in (await chat.list_tools()).tools]
            with anyio.fail_after(15):
                async with chat.listen(tools_list_changed=True) as news:
                    shutil.copytree(shipped_folder() / "txt2img", data / "templates" / "mine")
                    await anext(aiter(news))
            listed = await chat.list_tools(cache_mode="bypass")
            assert "mine" in [tool.name for tool in listed.tools]


@pytest.mark.requirement("R18")
async def test_a_session_is_told_of_changed_tools(tmp_path: Path, embedded_url: str) -> None:
    told = anyio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            told.set()

    options = {"message_handler": hear}
    async with in_sessions(tmp_path, embedded_url, options=options, tools_bytes=20_000) as chat:
        assert chat.server_capabilities.tools is not None and chat.server_capabilities.tools.list_changed
        await chat.list_tools()
        shutil.copytree(shipped_folder() / "txt2img", tmp_path / "templates" / "mine")
        with anyio.fail_after(10):
            await told.wait()
        assert "mine" in [tool.name for tool in (await chat.list_tools(cache_mode="bypass")).tools]


async def test_a_job_is_followed_by_its_address(tmp_path: Path, slow_url: str) -> None:
    async with over_http(tmp_path, slow_url, wait=0.2) as chat:
        job = await made(chat, seed=-1, steps=12)
        heard = 0
        with anyio.fail_after(20):
            async with chat.listen(resource_subscriptions=[f"job://{job}"]) as news:
                while (await read_json(chat, f"job://{job}"))["state"] in ("queued", "running"):
                    await anext(aiter(news))
                    heard += 1
    assert heard >= 2


@pytest.mark.filterwarnings("ignore:resources/")
async def test_a_session_follows_a_job_by_its_address(tmp_path: Path, slow_url: str) -> None:
    heard: list[str] = []

    async def hear(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.append(str(message.params.uri))

    async with in_sessions(tmp_path, slow_url, options={"message_handler": hear}, wait=0.2) as chat:
        job = await made(chat, seed=-1, steps=12)
        for uri in (f"job://{job}", f"job://{job}", "job://nobody", "template://txt2img"):
            await chat.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]
        with anyio.fail_after(20):
            while (await read_json(chat, f"job://{job}"))["state"] in ("queued", "running"):
                await anyio.sleep(0.1)
        await chat.unsubscribe_resource(f"job://{job}")  # pyright: ignore[reportDeprecated]
    assert len(heard) >= 2 and {*heard} == {f"job://{job}"}


async def test_a_new_model_changes_the_tools(
    tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a file is put into ComfyUI's folder: its next `/object_info` has another choice."""
    monkeypatch.setattr(changes, "_MODELS_SECONDS", 0.2)
    monkeypatch.setattr("comfy_mcp.backends.comfyui._FRESH_SECONDS", 0.2)
    from comfy_mcp.comfyui import ComfyUI

    ask, added = ComfyUI.object_info, list[str]()

    async def with_more(self: ComfyUI) -> dict[str, Any]:
        told = await ask(self)
        told["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0].extend(added)
        return told

    monkeypatch.setattr(ComfyUI, "object_info", with_more)
    async with in_memory(tmp_path, embedded_url, tools_bytes=20_000) as chat:
        with anyio.fail_after(10):
            while "procedural-sd15" not in str(await chat.list_tools(cache_mode="bypass")):
                await anyio.sleep(0.1)
            await anyio.sleep(1.5)  # the change from nothing to this is told of by now
            async with chat.listen(tools_list_changed=True) as news:
                added.append("brand_new.safetensors")
                await anext(aiter(news))
        listed = await chat.list_tools(cache_mode="bypass")
        assert "brand_new.safetensors" in str(listed)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_missing_prompt_is_asked_for(tmp_path: Path, embedded_url: str, transport: str) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        assert params.requested_schema["required"] == ["prompt"]
        return types.ElicitResult(action="accept", content={"prompt": "a blue house"})

    values = {name: value for name, value in FRESH.items() if name != "prompt"}
    options = {"elicitation_callback": answer}
    async with TRANSPORTS[transport](tmp_path, embedded_url, options=options) as chat:
        result = await chat.call_tool("txt2img", values)
        assert not result.is_error, text_of(result)
        (job,) = JOB.findall(text_of(result))
        assert (await read_json(chat, f"job://{job}"))["values"]["prompt"] == "a blue house"
    assert asked == ["Text to image needs: prompt."]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_declines_to_answer_is_told_what_is_missing(
    tmp_path: Path, embedded_url: str, transport: str
) -> None:
    async def decline(context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="decline")

    async with TRANSPORTS[transport](tmp_path, embedded_url, options={"elicitation_callback": decline}) as chat:
        result = await chat.call_tool("txt2img", {})
        assert result.is_error and "prompt is missing" in text_of(result)


async def test_a_client_that_shows_apps_gets_the_page_and_the_data(tmp_path: Path, embedded_url: str) -> None:
    options = {"extensions": [advertise(APPS, {"mimeTypes": ["text/html;profile=mcp-app"]})]}
    async with over_http(tmp_path, embedded_url, options=options) as chat:
        tools = {tool.name: tool for tool in (await chat.list_tools()).tools}
        for name in ("txt2img", "get_result", "run_template", "sweep", "open_form"):
            meta = tools[name].meta
            assert meta is not None and meta["ui"]["resourceUri"] == PAGE
        assert PAGE in [resource.uri for resource in (await chat.list_resources()).resources]
        (page,) = (await chat.read_resource(PAGE)).contents
        assert page.mime_type == "text/html;profile=mcp-app"
        made = await chat.call_tool("txt2img", SMALL)
        assert made.structured_content is not None
        assert made.structured_content["view"] == "result"
        assert made.structured_content["job"]["pictures"][0]["width"] == 64
        form = await chat.call_tool("open_form", {"template": "txt2img", "values": {"steps": 5}})
        assert form.structured_content is not None
        assert form.structured_content["template"]["id"] == "txt2img"
        assert form.structured_content["values"] == {"steps": 5}
        assert form.meta is not None and 'value="5"' in form.meta[FORM]["en"]["fields"]


@pytest.mark.requirement("R14")
async def test_a_client_that_shows_no_apps_gets_neither(chat: Client) -> None:
    for tool in (await chat.list_tools()).tools:
        assert tool.meta is None and tool.output_schema is None and tool.name != "open_form"
    form = await chat.call_tool("open_form", {"template": "txt2img"})
    assert form.is_error and FORM not in (form.meta or {}) and form.structured_content is None
    made = await chat.call_tool("txt2img", SMALL)
    assert made.structured_content is None
