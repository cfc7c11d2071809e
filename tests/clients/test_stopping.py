"""A job that nobody waits for any more is stopped: the call given up, out of patience, the chat left, or killed."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from comfy_mcp.proxy import listening
from comfy_mcp.workbench import Workbench
from tests.clients.process import CLIENTS, Chat, ChatFailed, started
from tests.workbenches import settings_for

SECONDS = 3
SEEDS = itertools.count(5000)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Two calls that would take half a minute, one that hears of progress and one that does not."""

    calls: Sequence[int]
    seeds: Sequence[int]


async def states(api: httpx.AsyncClient, seeds: Sequence[int]) -> list[str]:
    """What became of the jobs with these seeds, which are among the newest."""
    jobs: list[dict[str, Any]] = (await api.get("/api/v1/jobs", params={"limit": 50})).json()["jobs"]
    return [job["state"] for job in jobs if job["values"]["seed"] in seeds]


async def cancelled(api: httpx.AsyncClient, seeds: Sequence[int]) -> bool:
    with anyio.move_on_after(SECONDS):
        while await states(api, seeds) != ["cancelled"] * len(seeds):
            await anyio.sleep(0.05)
        return True
    return False


async def _call(chat: Chat, call: int, seed: int, how: dict[str, Any]) -> None:
    arguments = {"prompt": "a red house", "width": 64, "height": 64, "steps": 150, "seed": seed}
    with pytest.raises(ChatFailed):
        await chat.call("txt2img", arguments, number=call, progress=seed % 2 == 0, **how)


@asynccontextmanager
async def waiting(chat: Chat, api: httpx.AsyncClient, **how: Any) -> AsyncGenerator[Waiting]:
    """Two calls whose jobs are queued or run; both calls must fail before the block ends."""
    told = Waiting([chat.number(), chat.number()], [next(SEEDS), next(SEEDS)])
    try:
        async with anyio.create_task_group() as tasks:
            for call, seed in zip(told.calls, told.seeds, strict=True):
                tasks.start_soon(_call, chat, call, seed, how)
            with anyio.fail_after(SECONDS):
                while len(await states(api, told.seeds)) < 2:
                    await anyio.sleep(0.02)
            yield told
    finally:
        for job in (await api.get("/api/v1/queue")).json()["jobs"]:
            await api.delete(f"/api/v1/jobs/{job['id']}")


@pytest.mark.requirement("R10")
async def test_a_call_that_is_given_up_stops_its_job(chat: Chat, slow: httpx.AsyncClient) -> None:
    await chat.connect(f"{slow.base_url}/mcp")
    async with waiting(chat, slow) as told:
        for call in told.calls:
            await chat.abandon(call)
        if chat.kind.silent:
            await chat.leave()
        assert await cancelled(slow, told.seeds)
    await chat.leave()


@pytest.mark.requirement("R10")
async def test_a_call_out_of_patience_stops_its_job(chat: Chat, slow: httpx.AsyncClient) -> None:
    await chat.connect(f"{slow.base_url}/mcp")
    async with waiting(chat, slow, timeout=0.5) as told:
        await anyio.sleep(0.5)
        if chat.kind.silent:
            await chat.leave()
        assert await cancelled(slow, told.seeds)
    await chat.leave()


@pytest.mark.requirement("R10")
async def test_a_chat_that_is_left_stops_its_job(chat: Chat, slow: httpx.AsyncClient) -> None:
    await chat.connect(f"{slow.base_url}/mcp")
    async with waiting(chat, slow) as told:
        await chat.leave()
        stopped = await cancelled(slow, told.seeds)
    assert stopped


@pytest.fixture(scope="module")
async def killed(slow: httpx.AsyncClient) -> dict[str, bool]:
    """Every client that is installed, killed as by a crash, all at once: whether its jobs were stopped."""
    seeds: dict[str, Sequence[int]] = {}
    stopped: dict[str, bool] = {}
    async with AsyncExitStack() as stack:
        for name, kind in CLIENTS.items():
            with contextlib.suppress(pytest.skip.Exception):
                chat = await stack.enter_async_context(started(kind))
                await chat.connect(f"{slow.base_url}/mcp")
                seeds[name] = (await stack.enter_async_context(waiting(chat, slow))).seeds
                chat.process.kill()

        async def look(name: str) -> None:
            stopped[name] = await cancelled(slow, seeds[name])

        async with anyio.create_task_group() as tasks:
            for name in seeds:
                tasks.start_soon(look, name)
    return stopped


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.requirement("R10")
async def test_a_chat_that_is_killed_stops_its_job(name: str, killed: dict[str, bool]) -> None:
    if name not in killed:
        pytest.skip("needs the client: set the WORKBENCH_TEST_ variables, as .ci/run does")
    assert killed[name]


@asynccontextmanager
async def over_stdio(data: Path, comfyui: str) -> AsyncGenerator[tuple[Chat, httpx.AsyncClient]]:
    """A chat that started its own workbench, and a look into it from outside, which runs nothing itself."""
    command = [sys.executable, "-m", "comfy_mcp", "stdio"]
    async with started(CLIENTS["ts-1"]) as chat:
        await chat.connect(command=command, WORKBENCH_DATA=str(data), WORKBENCH_COMFYUI_URL=comfyui)
        await chat.tools()
        async with (
            Workbench.open(settings_for(data, comfyui), dispatch=False) as workbench,
            listening(workbench) as address,
            httpx.AsyncClient(base_url=address, trust_env=False) as api,
        ):
            try:
                yield chat, api
            finally:
                # The engine has other tests to serve.
                await api.post(f"{comfyui}/interrupt", json={})


async def test_a_call_that_is_given_up_over_stdio_stops_its_job(tmp_path: Path, slow_url: str) -> None:
    async with over_stdio(tmp_path, slow_url) as (chat, api), waiting(chat, api) as told:
        for call in told.calls:
            await chat.abandon(call)
        stopped = await cancelled(api, told.seeds)
    assert stopped


@pytest.mark.requirement("R10")
async def test_a_chat_that_is_killed_over_stdio_stops_its_job(tmp_path: Path, slow_url: str) -> None:
    async with over_stdio(tmp_path, slow_url) as (chat, api), waiting(chat, api) as told:
        while "running" not in await states(api, told.seeds):
            await anyio.sleep(0.02)
        chat.process.kill()
        stopped = await cancelled(api, told.seeds)
    assert stopped
