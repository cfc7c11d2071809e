"""What every chat does: list the tools, paint, hear of progress, ask for much at once."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import httpx
import pytest

from tests.clients.process import Answer, Chat

SMALL = {"prompt": "a red house", "width": 64, "height": 64, "steps": 2}
JOB = re.compile(r"job ([0-9a-f]{32})")
SEEDS = itertools.count(1000)  # another for each picture, so that no answer can be taken for another's


@pytest.fixture
async def connected(chat: Chat, quick: httpx.AsyncClient) -> AsyncGenerator[Chat]:
    await chat.connect(f"{quick.base_url}/mcp")
    yield chat
    await chat.leave()


async def paints(chat: Chat) -> None:
    assert {"txt2img", "run_template", "get_result"} <= set(await chat.tools())
    seed = next(SEEDS)

    answer = await chat.call("txt2img", {**SMALL, "seed": seed})

    assert not answer.error, answer.text
    assert f"seed {seed}" in answer.text
    assert not answer.progress  # nobody listened
    (picture,) = answer.pictures
    assert picture.size == (64, 64)


async def test_a_chat_over_http_lists_and_paints(connected: Chat) -> None:
    await paints(connected)


async def test_a_chat_over_stdio_lists_and_paints(chat: Chat, tmp_path: Path, embedded_url: str) -> None:
    command = [sys.executable, "-m", "comfy_mcp", "stdio"]
    await chat.connect(command=command, WORKBENCH_DATA=str(tmp_path), WORKBENCH_COMFYUI_URL=embedded_url)
    await paints(chat)
    await chat.leave()


@pytest.mark.requirement("R10")
async def test_twenty_steps_are_heard_by_who_listens(chat: Chat, slow: httpx.AsyncClient) -> None:
    await chat.connect(f"{slow.base_url}/mcp")

    answer = await chat.call("txt2img", {**SMALL, "steps": 20, "seed": next(SEEDS)}, progress=True)

    await chat.leave()
    assert not answer.error, answer.text
    assert len(answer.progress) >= 20
    assert list(answer.progress) == sorted(set(answer.progress))
    assert answer.pictures


async def test_much_at_once_is_kept_apart(connected: Chat) -> None:
    """Twenty pictures, then a hundred questions about them."""
    seeds = [next(SEEDS) for _ in range(20)]
    painted = dict[int, Answer]()
    found = list[tuple[int, Answer]]()

    async def paint(seed: int) -> None:
        painted[seed] = await connected.call("txt2img", {**SMALL, "seed": seed})

    async def ask(seed: int, job: str) -> None:
        found.append((seed, await connected.call("get_result", {"job_id": job})))

    async with anyio.create_task_group() as tasks:
        for seed in seeds:
            tasks.start_soon(paint, seed)
    jobs = {seed: match[1] for seed, answer in painted.items() if (match := JOB.search(answer.text))}
    async with anyio.create_task_group() as tasks:
        for seed in seeds * 5:
            tasks.start_soon(ask, seed, jobs[seed])

    assert len(found) == 100
    for seed, answer in [*painted.items(), *found]:
        assert f"seed {seed}," in answer.text
        assert answer.raw == painted[seed].raw
    assert len({answer.raw[0] for answer in painted.values()}) == 20
