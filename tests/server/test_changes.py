"""Word of what changed: to who may know, once, for as long as they are there, and whatever else goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from comfy_mcp.callers import Principal, with_principal
from comfy_mcp.jobs import Job, JobRequest
from comfy_mcp.proxy import listening
from comfy_mcp.server import changes as module
from comfy_mcp.server.changes import Changes
from comfy_mcp.store import Mode
from comfy_mcp.tasks import background
from comfy_mcp.tools.registry import Toolbox
from comfy_mcp.tools.toolbox import toolbox
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import shipped_folder
from tests.server.chats import FRESH
from tests.server.test_clients import ACCEPT, INITIALIZE
from tests.workbenches import served, settings_for


@asynccontextmanager
async def watching(data: Path, comfyui: str) -> AsyncGenerator[tuple[Workbench, Changes]]:
    async with Workbench.open(settings_for(data, comfyui)) as workbench, background() as tasks:
        tools = toolbox(workbench)

        async def open_tools() -> Toolbox:
            return tools

        changes = Changes(open_tools)
        tasks.start_soon(changes.watch)
        await anyio.sleep(0.1)
        yield workbench, changes


def context(name: str = "one") -> Any:
    connection: dict[str, Any] = {}
    with_principal(connection, Principal())
    request = SimpleNamespace(headers={"mcp-session-id": name}, scope=connection)

    async def heard(uri: str) -> None:
        return

    session = SimpleNamespace(send_resource_updated=heard)
    return SimpleNamespace(protocol_version="2025-06-18", request=request, session=session)


def to(job: Job) -> Any:
    return types.SubscribeRequestParams(uri=f"job://{job.id}")


async def slow_job(workbench: Workbench, owner: str = "local") -> Job:
    return await workbench.submit(JobRequest("txt2img", {**FRESH, "steps": 20}, None, owner))


def followed(changes: Changes) -> int:
    return len(changes._followed)  # pyright: ignore[reportPrivateUsage]


async def session_of(http: httpx.AsyncClient) -> dict[str, str]:
    answer = await http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
    headers = {"mcp-session-id": answer.headers["mcp-session-id"], **ACCEPT}
    await http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
    return headers


async def test_nonsense_on_the_port_of_comfyui_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MODELS_SECONDS", 0.1)
    page = "<html>Anmeldung nötig".encode("latin-1")

    async def serve(stream: Any) -> None:
        async with stream:
            try:
                await stream.receive(65_536)
                head = f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(page)}\r\n\r\n"
                await stream.send(head.encode() + page)
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, background() as tasks:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.start_soon(listener.serve, serve)
        async with served(tmp_path, f"http://127.0.0.1:{port}") as http:
            headers = await session_of(http)
            listed = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
            assert (await http.post("/mcp", json=listed, headers=headers)).status_code == 200
            await anyio.sleep(1.0)
            assert (await http.post("/mcp", json=listed, headers=headers)).status_code == 200


async def test_a_defect_of_one_look_ends_nothing(
    tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "_MODELS_SECONDS", 0.05)
    calls: list[int] = []

    def broken(self: Toolbox) -> bytes:
        calls.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(Toolbox, "fingerprint", broken)
    async with watching(tmp_path, embedded_url):
        await anyio.sleep(0.5)
    assert len(calls) > 3


async def test_two_subscriptions_at_once_are_one(tmp_path: Path, slow_url: str) -> None:
    async with watching(tmp_path, slow_url) as (workbench, changes):
        job = await slow_job(workbench)
        async with anyio.create_task_group() as both:
            for _ in range(2):
                both.start_soon(changes.subscribe, context(), to(job))
        assert followed(changes) == 1
        await workbench.wait(job.id, 20)
        await anyio.sleep(0.3)
        assert followed(changes) == 0


async def test_who_subscribes_again_is_followed_again(tmp_path: Path, slow_url: str) -> None:
    async with watching(tmp_path, slow_url) as (workbench, changes):
        job = await slow_job(workbench)
        await changes.subscribe(context(), to(job))
        await anyio.sleep(0.2)
        await changes.unsubscribe(context(), to(job))
        await changes.subscribe(context(), to(job))
        await anyio.sleep(0.2)
        assert followed(changes) == 1


async def test_no_chat_follows_without_end(tmp_path: Path, slow_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_OF_ONE", 2)
    async with watching(tmp_path, slow_url) as (workbench, changes):
        jobs = [await slow_job(workbench) for _ in range(3)]
        for job in jobs[:2]:
            await changes.subscribe(context(), to(job))
        with pytest.raises(MCPError, match="Too many"):
            await changes.subscribe(context(), to(jobs[2]))
        await changes.subscribe(context("other"), to(jobs[2]))
        changes.forget("one")
        await anyio.sleep(0.1)
        assert followed(changes) == 1


async def test_what_a_session_follows_ends_with_it(
    tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing runs here: the job waits, and its followers with it."""
    made: list[Changes] = []
    make = Changes.__init__

    def noted(self: Changes, *arguments: Any) -> None:
        make(self, *arguments)
        made.append(self)

    monkeypatch.setattr(Changes, "__init__", noted)
    settings = settings_for(tmp_path, embedded_url)
    async with (
        Workbench.open(settings) as workbench,
        listening(workbench) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        await workbench.set_mode("comfyui", Mode.PAUSED)
        job = await slow_job(workbench)
        for _ in range(3):
            headers = await session_of(http)
            order = {"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": {"uri": f"job://{job.id}"}}
            assert "result" in (await http.post("/mcp", json=order, headers=headers)).json()
            assert (await http.delete("/mcp", headers=headers)).status_code == 200
        await anyio.sleep(0.5)
        assert followed(made[0]) == 0
        assert len(made[0]._sessions) == 0  # pyright: ignore[reportPrivateUsage]


@asynccontextmanager
async def listeners(url: str, *users: str) -> AsyncGenerator[list[Client]]:
    async with AsyncExitStack() as stack:
        chats: list[Client] = []
        for user in users:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers={"X-User-Id": user}, timeout=60))
            chats.append(
                await stack.enter_async_context(Client(streamable_http_client(f"{url}/mcp", http_client=http)))
            )
        yield chats


async def listen(chat: Client, job: Job, into: list[Any]) -> None:
    async with chat.listen(resource_subscriptions=[f"job://{job.id}"]) as news:
        async for event in news:
            into.append(event)


@pytest.mark.requirement("R19")
async def test_nobody_hears_of_the_job_of_another(tmp_path: Path, slow_url: str) -> None:
    settings = settings_for(tmp_path, slow_url, forwarded_users=True)
    mine: list[Any] = []
    not_mine: list[Any] = []
    async with (
        Workbench.open(settings) as workbench,
        listening(workbench) as url,
        listeners(url, "anna", "bert") as (anna, bert),
        background() as tasks,
    ):
        job = await slow_job(workbench, "user:anna")
        tasks.start_soon(listen, bert, job, not_mine)
        tasks.start_soon(listen, anna, job, mine)
        await workbench.wait(job.id, 20)
        await anyio.sleep(0.5)
    assert mine and not not_mine


async def test_what_listeners_hear_they_hear_once(tmp_path: Path, embedded_url: str) -> None:
    heard: list[list[Any]] = [[], [], []]
    async with (
        Workbench.open(settings_for(tmp_path, embedded_url)) as workbench,
        listening(workbench) as url,
        listeners(url, "", "", "") as chats,
        background() as tasks,
    ):
        job = await workbench.submit(JobRequest("txt2img", {**FRESH, "steps": 2}))
        await workbench.wait(job.id, 20)
        for chat, into in zip(chats, heard, strict=True):
            tasks.start_soon(listen, chat, job, into)
            await anyio.sleep(0.4)
    assert [len(each) for each in heard] == [1, 1, 1]


@pytest.mark.requirement("R18")
async def test_word_comes_to_a_session_that_outlived_a_restart(tmp_path: Path, embedded_url: str) -> None:
    settings = settings_for(tmp_path, embedded_url, tools_bytes=20_000)
    async with (
        Workbench.open(settings) as workbench,
        listening(workbench) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        headers = await session_of(http)
    heard = b""
    async with (
        Workbench.open(settings) as workbench,
        listening(workbench) as url,
        httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
        http.stream("GET", "/mcp", headers=headers) as stream,
    ):
        await anyio.sleep(1.5)
        shutil.copytree(shipped_folder() / "txt2img", tmp_path / "templates" / "mine")
        with anyio.move_on_after(5):
            async for part in stream.aiter_raw():
                heard += part
                if b"list_changed" in heard:
                    break
    assert b"list_changed" in heard
