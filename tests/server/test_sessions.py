"""Sessions over real sockets: one body or a stream, cancel, progress, and life after a restart."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import mcp_types as types
import pytest
import uvicorn
from mcp import Client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from starlette.applications import Starlette
from starlette.routing import Mount

from comfy_mcp.server.sessions import Sessions
from comfy_mcp.signing import Signer

KEY = b"k" * 32
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "clientInfo": {"name": "chat", "version": "7"}, "capabilities": {}},
}


@dataclass
class Seen:
    """What the toy tools noticed."""

    started: anyio.Event = field(default_factory=anyio.Event)
    cancelled: anyio.Event = field(default_factory=anyio.Event)
    clients: list[str] = field(default_factory=list[str])


def toy_server(seen: Seen) -> Server[Any]:
    async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
        names = ("echo", "count", "hang", "big")
        return types.ListToolsResult(tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in names])

    async def call_tool(ctx: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
        told = ctx.session.client_params
        seen.clients.append(told.client_info.name if told else "")
        if params.name == "count":
            for step in range(20):
                await ctx.session.report_progress(step + 1, 20, f"step {step + 1}")
        if params.name == "hang":
            seen.started.set()
            try:
                await anyio.sleep(30)
            except anyio.get_cancelled_exc_class():
                seen.cancelled.set()
                raise
        size = 900_000 if params.name == "big" else 4
        return types.CallToolResult(content=[types.TextContent(text="x" * size)])

    return Server("toy", on_list_tools=list_tools, on_call_tool=call_tool)


@asynccontextmanager
async def serving(seen: Seen, port: int = 0) -> AsyncGenerator[str]:
    """The toy server as a whole new process would serve it: nothing but the key is shared between two of them."""
    sessions = Sessions(toy_server(seen), Signer(KEY), max_body=2**20)
    app = Starlette(routes=[Mount("/", app=sessions)], lifespan=lambda app: sessions.run())
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            with anyio.fail_after(5):
                while not server.started:
                    await anyio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
            server.should_exit = True


async def initialize(http: httpx.AsyncClient, url: str) -> dict[str, str]:
    answer = await http.post(url, json=INITIALIZE, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    headers = {**HEADERS, "mcp-session-id": answer.headers["mcp-session-id"]}
    done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await http.post(url, json=done, headers=headers)).status_code == 202
    return headers


def call(name: str, number: int = 2, token: str | None = None) -> dict[str, Any]:
    params: dict[str, Any] = {"name": name, "arguments": {}}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def url(seen: Seen) -> AsyncGenerator[str]:
    async with serving(seen) as address:
        yield address


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        yield client


@pytest.mark.requirement("R3")
async def test_a_call_without_a_progress_token_is_answered_with_one_body(url: str, http: httpx.AsyncClient) -> None:
    headers = await initialize(http, url)

    answer = await http.post(url, json=call("count"), headers=headers)

    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.json()["id"] == 2
    assert answer.json()["result"]["content"][0]["text"] == "xxxx"


async def test_a_big_answer_is_no_line_of_a_stream(url: str, http: httpx.AsyncClient) -> None:
    headers = await initialize(http, url)

    answer = await http.post(url, json=call("big"), headers=headers)

    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json()["result"]["content"][0]["text"]) == 900_000


@pytest.mark.requirement("R3")
async def test_a_call_with_a_progress_token_is_streamed(url: str, http: httpx.AsyncClient) -> None:
    headers = await initialize(http, url)

    answer = await http.post(url, json=call("count", token="t"), headers=headers)

    assert answer.headers["content-type"].startswith("text/event-stream")
    messages = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [message["params"]["progress"] for message in messages[:-1]] == list(range(1, 21))
    assert messages[-1]["id"] == 2


@pytest.mark.parametrize("token", [None, "t"], ids=["body", "stream"])
async def test_a_cancelled_call_stops_its_tool(
    url: str, http: httpx.AsyncClient, seen: Seen, token: str | None
) -> None:
    headers = await initialize(http, url)
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}

    async with anyio.create_task_group() as tasks:

        async def hang() -> None:
            await http.post(url, json=call("hang", token=token), headers=headers)

        tasks.start_soon(hang)
        with anyio.fail_after(5):
            await seen.started.wait()
            await http.post(url, json=cancel, headers=headers)
            await seen.cancelled.wait()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_calls_and_hears_progress(url: str, mode: Any) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with Client(url, mode=mode) as chat:
        result = await chat.call_tool("count", {}, progress_callback=hear)
        assert (await chat.call_tool("big", {})).content

    assert isinstance(result.content[0], types.TextContent)
    assert heard == list(range(1, 21))


async def test_leaving_a_modern_call_stops_its_tool(url: str, seen: Seen) -> None:
    with anyio.fail_after(10):
        async with Client(url) as chat, anyio.create_task_group() as tasks:

            async def hang() -> None:
                await chat.call_tool("hang", {})

            tasks.start_soon(hang)
            await seen.started.wait()
            tasks.cancel_scope.cancel()
        await seen.cancelled.wait()


@pytest.mark.requirement("R2")
async def test_a_session_goes_on_after_a_restart(http: httpx.AsyncClient, seen: Seen) -> None:
    async with serving(seen) as url:
        headers = await initialize(http, url)
    async with serving(seen, port=httpx.URL(url).port or 0) as url:
        answer = await http.post(url, json=call("echo"), headers=headers)

    assert answer.status_code == 200
    assert answer.headers["mcp-session-id"] == headers["mcp-session-id"]
    assert seen.clients == ["chat"]


@pytest.mark.parametrize("name", ["0" * 32, "eyJ2IjoxfQ.forged-signature", "%00", "x" * 5000])
async def test_a_session_that_we_did_not_sign_is_refused(url: str, http: httpx.AsyncClient, name: str) -> None:
    answer = await http.post(url, json=call("echo"), headers={**HEADERS, "mcp-session-id": name})

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "Session not found"


async def test_an_ended_session_stays_ended(url: str, http: httpx.AsyncClient) -> None:
    headers = await initialize(http, url)

    assert (await http.delete(url, headers=headers)).status_code == 200

    assert (await http.post(url, json=call("echo"), headers=headers)).status_code == 404


async def test_a_call_under_an_ending_session_is_answered(url: str, http: httpx.AsyncClient, seen: Seen) -> None:
    """As a failure of the call and not of HTTP, which clients raise while they are being left."""
    headers = await initialize(http, url)
    answers: list[httpx.Response] = []

    async def hang() -> None:
        answers.append(await http.post(url, json=call("hang", 7), headers=headers))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang)
            await seen.started.wait()
            await http.delete(url, headers=headers)
        await seen.cancelled.wait()

    assert answers[0].status_code == 200
    assert answers[0].json()["id"] == 7
    assert answers[0].json()["error"]["message"] == "The session has ended."


async def test_a_call_without_a_session_is_refused(url: str, http: httpx.AsyncClient) -> None:
    answer = await http.post(url, json=call("echo"), headers=HEADERS)

    assert answer.status_code == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"jsonrpc":"2.0"}', b"\xff\xfe", b"[" * 10_000])
async def test_what_is_no_message_is_refused(url: str, http: httpx.AsyncClient, body: bytes) -> None:
    headers = await initialize(http, url)

    answer = await http.post(url, content=body, headers=headers)

    assert answer.status_code == 400


async def test_the_quietest_session_makes_room_and_comes_back(
    url: str, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfy_mcp.server.sessions._MOST_SESSIONS", 2)
    all_headers = [await initialize(http, url) for _ in range(5)]

    for headers in all_headers:
        assert (await http.post(url, json=call("echo"), headers=headers)).status_code == 200


async def test_fifty_sessions_keep_their_answers_apart(url: str, http: httpx.AsyncClient) -> None:
    async def one(number: int) -> None:
        headers = await initialize(http, url)
        answer = await http.post(url, json=call("echo", number), headers=headers)
        assert answer.json()["id"] == number

    async with anyio.create_task_group() as tasks:
        for number in range(100, 150):
            tasks.start_soon(one, number)
