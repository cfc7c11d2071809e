"""What the clients demand that no other test proves: addresses, limits and words, as each client would notice them."""

from __future__ import annotations

import ast
import base64
import json
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.extension import advertise
from PIL import Image

from comfy_mcp.comfyui import ComfyUI
from comfy_mcp.content import Budget, job_result
from comfy_mcp.jobs import JobRequest, JobState
from comfy_mcp.profiles import PROFILES, profile_of
from comfy_mcp.proxy import listening
from comfy_mcp.tasks import background
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import shipped_folder
from tests.images.samples import encoded, noise, ogg
from tests.server.chats import FRESH, JOB, SMALL, in_memory, over_http, over_stdio, pictures_of, text_of
from tests.workbenches import served, settings_for

ROOT = Path(__file__).parents[2]
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
}
ACCEPT = {"accept": "application/json, text/event-stream"}
LARGE = {"prompt": "a red house", "width": 1024, "height": 1024, "steps": 2, "seed": 7}


def named(name: str) -> dict[str, Any]:
    return {"client_info": types.Implementation(name=name, version="1")}


@pytest.mark.requirement("R1")
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
async def test_both_addresses_answer_without_a_redirect(tmp_path: Path, embedded_url: str, path: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        answer = await http.post(path, json=INITIALIZE, headers=ACCEPT)
    assert (answer.status_code, answer.history) == (200, [])
    assert answer.json()["result"]["serverInfo"]["name"] == "comfyui-workbench"


@pytest.mark.requirement("R1")
async def test_stdio_answers_too(tmp_path: Path, embedded_url: str) -> None:
    async with over_stdio(tmp_path, embedded_url) as chat:
        assert chat.server_info is not None and chat.server_info.name == "comfyui-workbench"
        assert chat.instructions and "job id" in chat.instructions


async def test_a_chat_over_stdio_gets_links_of_a_workbench_that_is_served(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        base = str(http.base_url).rstrip("/")
        async with over_stdio(tmp_path, embedded_url, public_url=base) as chat:
            link = text_of(await chat.call_tool("txt2img", SMALL)).partition("Full size: ")[2].split()[0]
        assert link.startswith(base)
        assert (await http.get(link)).headers["content-type"] == "image/png"
    async with over_stdio(tmp_path, embedded_url) as chat:
        assert "Full size" not in text_of(await chat.call_tool("txt2img", SMALL))


@pytest.mark.requirement("R5")
async def test_a_picture_of_many_megabytes_is_taken_as_an_argument(tmp_path: Path, embedded_url: str) -> None:
    picture = encoded(noise(1800, 1800), "PNG")
    assert len(picture) > 4_000_000
    async with over_http(tmp_path, embedded_url) as chat:
        result = await chat.call_tool("upload_image", {"image": base64.b64encode(picture).decode()})
        assert "1800×1800" in text_of(result)


@pytest.mark.requirement("R6")
async def test_the_handshake_and_the_list_are_quick_while_comfyui_hangs(tmp_path: Path) -> None:
    async def hang(stream: Any) -> None:
        async with stream:
            await anyio.sleep(60)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with background() as tasks:
        tasks.start_soon(listener.serve, hang)
        async with served(tmp_path, f"http://127.0.0.1:{port}") as http:
            with anyio.fail_after(5.0):
                answer = await http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
                session = {"mcp-session-id": answer.headers["mcp-session-id"], **ACCEPT}
                listed = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
                tools = (await http.post("/mcp", json=listed, headers=session)).json()["result"]["tools"]
            assert "txt2img" in [tool["name"] for tool in tools]
    await listener.aclose()


@pytest.mark.requirement("R7")
async def test_nothing_looks_like_a_server_of_tokens(tmp_path: Path, embedded_url: str) -> None:
    paths = ["oauth-protected-resource", "oauth-protected-resource/mcp", "oauth-authorization-server"]
    async with served(tmp_path, embedded_url) as http:
        for path in paths:
            answer = await http.get(f"/.well-known/{path}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "http_error")
    async with served(tmp_path, embedded_url, token="a-token-of-sixteen") as http:
        for path in paths:
            assert (await http.get(f"/.well-known/{path}")).status_code == 401
        answer = await http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.requirement("R8")
async def test_each_client_is_waited_for_as_long_as_it_waits(tmp_path: Path, slow_url: str) -> None:
    """Seen in the answer to a job that takes longer than the setting lets a client wait."""
    for profile in (*PROFILES, profile_of("")):
        assert profile.wait <= 240
    async with over_http(tmp_path, slow_url, headers={"X-Workbench-Client": "jan"}, wait=0.3) as chat:
        assert "get_result" in text_of(await chat.call_tool("txt2img", {**FRESH, "steps": 20}))


@pytest.mark.requirement("R11")
@pytest.mark.requirement("R12")
@pytest.mark.parametrize("client", ["@librechat/api-client", "lobehub-mcp-client", "claude-ai", "lm-studio", "mcp"])
async def test_a_picture_of_1024_pixels_is_small_and_what_it_says_it_is(
    tmp_path: Path, embedded_url: str, client: str
) -> None:
    profile = profile_of(client)
    async with over_http(tmp_path, embedded_url, options=named(client)) as chat:
        result = await chat.call_tool("txt2img", LARGE)
    (block,) = [block for block in result.content if isinstance(block, types.ImageContent)]
    data = base64.b64decode(block.data, validate=True)
    (picture,) = pictures_of(result)
    assert len(data) <= 150_000
    assert picture.size == (1024, 1024) or max(picture.size) >= 700
    assert Image.MIME[picture.format or ""] == block.mime_type == profile.formats[0]
    assert re.fullmatch(r"image/[a-z]+", block.mime_type)
    assert "1024×1024" in text_of(result) and block.data[:60] not in text_of(result)
    assert ("Full size: http" in text_of(result)) is profile.links


@pytest.mark.requirement("R12")
async def test_the_original_is_behind_the_link(tmp_path: Path, embedded_url: str) -> None:
    async with over_http(tmp_path, embedded_url) as chat:
        link = text_of(await chat.call_tool("txt2img", LARGE)).partition("Full size: ")[2].split()[0]
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(link)
    assert answer.headers["content-type"] == "image/png"
    assert b"IHDR" in answer.content[:40]


@pytest.mark.requirement("R12")
async def test_a_client_can_be_named_by_setting_or_header(tmp_path: Path, embedded_url: str) -> None:
    ways: list[dict[str, Any]] = [{"client": "librechat"}, {"headers": {"X-Workbench-Client": "librechat"}}]
    for more in ways:
        async with over_http(tmp_path, embedded_url, **more) as chat:
            result = await chat.call_tool("txt2img", LARGE)
        assert [block.mime_type for block in result.content if isinstance(block, types.ImageContent)] == ["image/webp"]
    headers = {"X-OpenWebUI-User-Name": "ann", "X-Workbench-Client": "nobody"}
    async with over_http(tmp_path, embedded_url, headers=headers) as chat:
        assert pictures_of(await chat.call_tool("txt2img", SMALL))


@pytest.mark.requirement("R13")
async def test_several_pictures_fit_into_one_answer(tmp_path: Path, embedded_url: str) -> None:
    async with over_http(tmp_path, embedded_url, options=named("claude-ai")) as chat:
        result = await chat.call_tool("txt2img", {**LARGE, "batch": 8})
    blocks = [block for block in result.content if isinstance(block, types.ImageContent)]
    assert len(blocks) == 8
    assert sum(len(block.data) for block in blocks) + len(text_of(result)) <= 1_048_576
    assert text_of(result).count("Full size: ") == 8
    linked = [block for block in result.content if isinstance(block, types.ResourceLink)]
    assert len(linked) == 8 and all(str(block.uri).startswith("asset://") for block in linked)
    async with over_http(tmp_path, embedded_url, options=named("@librechat/api-client")) as chat:
        kinds = {block.type for block in (await chat.call_tool("txt2img", {**SMALL, "batch": 2})).content}
    assert kinds == {"text", "image"}


@pytest.mark.requirement("R13")
async def test_a_file_that_is_no_picture_is_linked_in_the_text(tmp_path: Path, embedded_url: str) -> None:
    async with Workbench.open(settings_for(tmp_path, embedded_url)) as workbench, listening(workbench) as url:
        job = await workbench.submit(JobRequest("txt2img", SMALL))
        job = await workbench.wait(job.id, 20)
        sound = await workbench.assets.keep(ogg(), name_fields={})
        told = await job_result(
            workbench, replace(job, assets=(sound,)), Budget(lambda asset: f"{url}/{asset.id}", lambda job: None)
        )
    assert [block.type for block in told.content] == ["text"]
    assert sound.id in text_of(told) and "not shown here" in text_of(told)


@pytest.mark.requirement("R15")
def test_no_error_sounds_like_a_sign_in_that_is_missing() -> None:
    """LibreChat shows "OAuth authentication required" for each that does."""
    wrong = re.compile(r"401|oauth|authentication", re.IGNORECASE)
    for path in (ROOT / "comfy_mcp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise | ast.Call):
                said = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                assert not [text for text in said if isinstance(text, str) and wrong.search(text)], (path, node.lineno)


@pytest.mark.requirement("R15")
async def test_a_defect_tells_nothing_of_itself(
    tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: Any, **more: Any) -> None:
        raise ValueError("/home/ann/secret")

    monkeypatch.setattr(Workbench, "submit", broken)
    async with over_http(tmp_path, embedded_url) as chat:
        result = await chat.call_tool("txt2img", SMALL)
    assert result.is_error and text_of(result).startswith("Error: ")
    assert "secret" not in text_of(result) and "log" in text_of(result)


@pytest.mark.requirement("R16")
async def test_a_header_leaves_pictures_out(tmp_path: Path, embedded_url: str) -> None:
    async with over_http(tmp_path, embedded_url, headers={"X-Inline-Images": "never"}) as chat:
        result = await chat.call_tool("txt2img", SMALL)
        assert [block.type for block in result.content] == ["text"]
        assert "Full size: http" in text_of(result)
    async with over_http(tmp_path, embedded_url, headers={"X-Inline-Images": "auto"}, inline_images="never") as chat:
        assert pictures_of(await chat.call_tool("txt2img", SMALL))


@pytest.mark.requirement("R17")
async def test_every_schema_is_one_that_every_provider_takes(tmp_path: Path, embedded_url: str) -> None:
    async with over_http(tmp_path, embedded_url, tools_bytes=100_000) as chat:
        await chat.call_tool("describe_template", {"template": "txt2img"})
        tools = (await chat.list_tools(cache_mode="bypass")).tools
    assert len(tools) >= 15
    for tool in tools:
        assert re.fullmatch(r"[a-z0-9_]{1,32}", tool.name) and "_mcp_" not in tool.name
        text = json.dumps(tool.input_schema)
        assert not re.search(r'"(\$ref|anyOf|oneOf|allOf|const|multipleOf)"', text), tool.name
        for name, schema in tool.input_schema.get("properties", {}).items():
            assert schema["type"] in ("string", "integer", "number", "boolean", "object"), (tool.name, name)
            assert schema["description"] and all(isinstance(value, str) for value in schema.get("enum", ()))
    required = {tool.name: tool.input_schema.get("required", []) for tool in tools}
    assert required["txt2img"] == ["prompt"]


@pytest.mark.requirement("R18")
async def test_what_is_asked_for_is_checked_against_now_and_not_against_the_list(
    tmp_path: Path, embedded_url: str
) -> None:
    async with over_http(tmp_path, embedded_url) as chat:
        close = await chat.call_tool("txt2img", {**SMALL, "sampler": "EULER", "steps": "2"})
        assert not close.is_error and "sampler euler" in text_of(close)
        unknown = await chat.call_tool("txt2img", {**SMALL, "scheduler": "karas"})
        assert "scheduler 'karas' is unknown; nearest: karras" in text_of(unknown)


async def test_long_names_of_models_cost_no_tool_its_place(
    tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, names = ComfyUI.object_info, [f"a rather long name of a checkpoint, number {number}.ckpt" for number in "12"]

    async def with_names(self: ComfyUI) -> dict[str, Any]:
        told = await ask(self)
        told["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] = names
        return told

    monkeypatch.setattr(ComfyUI, "object_info", with_names)
    async with in_memory(tmp_path, embedded_url) as chat:
        await chat.call_tool("describe_template", {"template": "txt2img"})
        tools = {tool.name: tool for tool in (await chat.list_tools(cache_mode="bypass")).tools}
    assert {"txt2img", "img2img", "inpaint", "upscale"} <= tools.keys()
    told = [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in tools.values()]
    assert len(json.dumps({"tools": told}, separators=(",", ":"), ensure_ascii=False).encode()) <= 8192
    assert "enum" not in tools["txt2img"].input_schema["properties"]["checkpoint"]


async def test_templates_that_pass_the_budget_are_reached_by_name(tmp_path: Path, embedded_url: str) -> None:
    for number in range(40):
        folder = tmp_path / "templates" / f"mine_{number:02}"
        folder.mkdir(parents=True)
        for name in ("manifest.toml", "workflow.json"):
            (folder / name).write_bytes((shipped_folder() / "txt2img" / name).read_bytes())
    async with over_http(tmp_path, embedded_url, tools=["mine_39"]) as chat:
        listed = (await chat.list_tools()).model_dump(by_alias=True, exclude_none=True, mode="json")["tools"]
        assert len(json.dumps({"tools": listed}, separators=(",", ":"), ensure_ascii=False).encode()) <= 8192
        names = [tool["name"] for tool in listed]
        assert "mine_39" in names and "mine_20" not in names
        assert "mine_20" in text_of(await chat.call_tool("list_templates", {}))
        made = await chat.call_tool("run_template", {"template": "mine_20", "values": SMALL})
        assert pictures_of(made)


@pytest.mark.requirement("R10")
async def test_a_job_is_kept_for_who_asks_for_that(tmp_path: Path, slow_url: str) -> None:
    async with over_http(tmp_path, slow_url, abandoned="keep") as chat:
        with anyio.move_on_after(1.0):
            await chat.call_tool("txt2img", {**FRESH, "steps": 20})
        with anyio.fail_after(20):
            while "succeeded" not in (told := text_of(await chat.call_tool("list_jobs", {}))):
                await anyio.sleep(0.1)
        assert len(re.findall(r"^[0-9a-f]{32} ", told, re.MULTILINE)) == 1
        assert JOB


@pytest.mark.requirement("R19")
async def test_a_link_opens_for_whom_it_was_given(tmp_path: Path, embedded_url: str) -> None:
    more: dict[str, Any] = {"forwarded_users": True, "token": "a-token-of-sixteen"}
    headers = {"X-User-Id": "anna", "Authorization": "Bearer a-token-of-sixteen"}
    async with over_http(tmp_path, embedded_url, headers=headers, **more) as chat:
        link = text_of(await chat.call_tool("txt2img", SMALL)).partition("Full size: ")[2].split()[0]
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(link)).headers["content-type"] == "image/png"
            assert (await http.get(link.partition("?")[0])).status_code == 401


@pytest.mark.requirement("R19")
async def test_who_names_nobody_is_not_the_owner_of_the_machine(tmp_path: Path, embedded_url: str) -> None:
    async with Workbench.open(settings_for(tmp_path, embedded_url)) as workbench:
        job = await workbench.submit(JobRequest("txt2img", SMALL))
    headers = {"X-User-Id": "{{LIBRECHAT_USER_ID}}"}
    async with over_http(tmp_path, embedded_url, headers=headers, forwarded_users=True) as chat:
        assert job.id not in text_of(await chat.call_tool("list_jobs", {}))
    for long in ("x" * 200 + "a", "x" * 200 + "b"):
        async with over_http(tmp_path, embedded_url, headers={"X-User-Id": long}, forwarded_users=True) as chat:
            assert text_of(await chat.call_tool("list_jobs", {})) == "There are no jobs."
            await chat.call_tool("txt2img", SMALL)


async def test_a_retry_with_the_same_key_and_picture_is_the_same_job(
    tmp_path: Path, embedded_url: str, picture: bytes
) -> None:
    values = {"prompt": "x", "image": base64.b64encode(picture).decode(), "steps": 2}
    arguments = {"template": "img2img", "values": values, "idempotency_key": "k"}
    async with over_http(tmp_path, embedded_url) as chat:
        first, again = [await chat.call_tool("run_template", arguments) for _ in range(2)]
    assert JOB.findall(text_of(first)) == JOB.findall(text_of(again)) != []


async def test_a_call_with_a_key_can_be_given_up_and_sent_again(tmp_path: Path, slow_url: str) -> None:
    arguments = {"template": "txt2img", "values": {**FRESH, "steps": 15}, "idempotency_key": "k"}
    async with over_http(tmp_path, slow_url) as chat:
        with anyio.move_on_after(0.7):
            await chat.call_tool("run_template", arguments)
        result = await chat.call_tool("run_template", arguments)
        assert pictures_of(result), text_of(result)


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_stop_of_the_server_cancels_nobodys_job(tmp_path: Path, slow_url: str, era: str) -> None:
    """The person stops the workbench, or updates it: no chat went away, so the next one finishes its job."""
    async with background() as tasks:
        async with Workbench.open(settings_for(tmp_path, slow_url)) as workbench, listening(workbench) as url:

            async def call() -> None:
                with suppress(BaseException):
                    async with Client(f"{url}/mcp", mode=era) as chat:
                        await chat.call_tool("txt2img", {**FRESH, "steps": 30})

            tasks.start_soon(call)
            with anyio.fail_after(10):
                while not [job for job in await workbench.jobs() if job.state is JobState.RUNNING]:
                    await anyio.sleep(0.1)
        async with Workbench.open(settings_for(tmp_path, slow_url)) as workbench:
            (job,) = await workbench.jobs()
            assert (await workbench.wait(job.id, 20)).state is JobState.SUCCEEDED


async def test_what_a_header_gives_is_not_asked_for(tmp_path: Path, embedded_url: str) -> None:
    own = tmp_path / "templates" / "mine"
    shutil.copytree(shipped_folder() / "txt2img", own)
    with (own / "manifest.toml").open("a") as manifest:
        manifest.write('\n[parameters.shelf]\ntype = "text"\nbind = "SaveImage#9.filename_prefix"\nhelp = "Where."\n')
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="decline")

    options = {"elicitation_callback": answer}
    async with over_http(tmp_path, embedded_url, headers={"X-Comfy-Shelf": "mine"}, options=options) as chat:
        result = await chat.call_tool("mine", SMALL)
        assert not result.is_error, text_of(result)
        assert (await chat.call_tool("get_result", {})).is_error
    assert asked == []


async def test_the_list_is_small_for_who_shows_apps_too(tmp_path: Path, embedded_url: str) -> None:
    options = {"extensions": [advertise("io.modelcontextprotocol/ui", {"mimeTypes": ["text/html;profile=mcp-app"]})]}
    async with over_http(tmp_path, embedded_url, options=options) as chat:
        await chat.call_tool("describe_template", {"template": "txt2img"})
        tools = (await chat.list_tools(cache_mode="bypass")).tools
    assert {"txt2img", "img2img", "inpaint", "upscale", "open_form"} <= {tool.name for tool in tools}
    told = [tool.model_dump(by_alias=True, exclude_none=True, mode="json", exclude={"meta"}) for tool in tools]
    assert len(json.dumps({"tools": told}, separators=(",", ":"), ensure_ascii=False).encode()) <= 8192


async def test_a_sheet_can_be_worked_on_in_the_app(tmp_path: Path, embedded_url: str) -> None:
    options = {"extensions": [advertise("io.modelcontextprotocol/ui", {"mimeTypes": ["text/html;profile=mcp-app"]})]}
    async with over_http(tmp_path, embedded_url, options=options) as chat:
        swept = await chat.call_tool("sweep", {"values": SMALL, "over": {"cfg": [1, 2]}})
        assert swept.structured_content is not None
        (sheet,) = swept.structured_content["job"]["pictures"]
        assert (await chat.read_resource(f"asset://{sheet['id']}")).contents
