"""The socket: who hears of which job, in which order, and how it ends."""

from __future__ import annotations

import struct

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.proxy.comfyui.clients import graph_of, listening, submitted


async def test_a_job_is_told_as_comfyui_tells_it(slow: httpx.AsyncClient) -> None:
    async with listening(slow, "one") as events:
        job = await submitted(slow, graph_of(steps=4), "one")
        await events.until("executing", node=None, prompt_id=job)
        await events.until("status")

    kinds = events.kinds(job)
    assert kinds[:3] == ["execution_start", "execution_cached", "executing"]
    assert kinds[-3:] == ["executed", "execution_success", "executing"]
    steps = [data for kind, data in events.seen if kind == "progress"]
    assert [step["value"] for step in steps] == sorted(step["value"] for step in steps)
    assert {step["max"] for step in steps} == {4} and {step["node"] for step in steps} == {"3"}
    (made,) = [data for kind, data in events.seen if kind == "executed"]
    assert made["node"] == "9" and made["output"]["images"][0]["type"] == "output"


async def test_previews_come_as_comfyuis_frames(slow: httpx.AsyncClient) -> None:
    async with listening(slow, "one") as events:
        job = await submitted(slow, graph_of(3, steps=4), "one")
        await events.until("executing", node=None, prompt_id=job)

    assert events.previews
    for frame in events.previews:
        event, kind = struct.unpack(">II", frame[:8])
        assert (event, kind) == (1, 1)
        assert frame[8:].startswith(b"\xff\xd8\xff")


async def test_who_connects_late_is_told_what_happened(http: httpx.AsyncClient) -> None:
    job = await submitted(http, graph_of(), "late")
    with anyio.fail_after(20):
        while not (await http.get(f"/comfyui/history/{job}")).json():
            await anyio.sleep(0.05)

    async with listening(http, "late") as events:
        await events.until("executing", node=None, prompt_id=job)
    assert events.kinds(job) == ["execution_start", "execution_cached", "executed", "execution_success", "executing"]

    async with listening(http, "late") as events:
        second = await submitted(http, graph_of(8), "late")
        await events.until("executing", node=None, prompt_id=second)
    assert events.kinds(job) == [], "it was told already"


async def test_only_the_client_that_asked_hears_of_a_job(several: httpx.AsyncClient) -> None:
    async with (
        listening(several, "same", **{"x-user-id": "anna"}) as annas,
        listening(several, "same", **{"x-user-id": "ben"}) as bens,
        listening(several, "other", **{"x-user-id": "anna"}) as others,
    ):
        mine = await submitted(several, graph_of(1), "same", **{"x-user-id": "anna"})
        await annas.until("executing", node=None, prompt_id=mine)
        his = await submitted(several, graph_of(2), "same", **{"x-user-id": "ben"})
        await bens.until("executing", node=None, prompt_id=his)
        third = await submitted(several, graph_of(3), "other", **{"x-user-id": "anna"})
        await others.until("executing", node=None, prompt_id=third)

    assert [bens.kinds(mine), others.kinds(mine), annas.kinds(his), others.kinds(his), annas.kinds(third)] == [[]] * 5


async def test_a_cancelled_job_ends_for_its_listener(slow: httpx.AsyncClient) -> None:
    async with listening(slow, "one") as events:
        job = await submitted(slow, graph_of(5, steps=150), "one")
        await events.until("progress", prompt_id=job)
        assert (await slow.post("/comfyui/interrupt", json={"prompt_id": job})).status_code == 200
        await events.until("execution_interrupted", prompt_id=job)
        await events.until("executing", node=None, prompt_id=job)

    entry = (await slow.get(f"/comfyui/history/{job}")).json()[job]
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


async def test_a_waiting_client_hears_something_every_few_seconds(slow: httpx.AsyncClient) -> None:
    async with listening(slow, "idle") as events:
        await events.until("status")
        with anyio.fail_after(9):
            await events.until("status")


async def test_a_job_goes_on_when_its_client_hangs_up(slow: httpx.AsyncClient) -> None:
    async with listening(slow, "gone") as events:
        job = await submitted(slow, graph_of(6, steps=10), "gone")
        await events.until("progress", prompt_id=job)

    with anyio.fail_after(20):
        while not (entry := (await slow.get(f"/comfyui/history/{job}")).json()):
            await anyio.sleep(0.05)
    assert entry[job]["status"]["completed"]


async def test_of_too_many_sockets_an_idle_one_goes(http: httpx.AsyncClient) -> None:
    address = f"{str(http.base_url).replace('http', 'ws', 1)}/comfyui/ws"
    async with anyio.create_task_group() as tasks, listening(http, "kept") as busy:
        sockets = [await connect(f"{address}?clientId={number}", proxy=None) for number in range(63)]
        await submitted(http, graph_of(), "kept")
        extra = await connect(f"{address}?clientId={'x' * 4000}", proxy=None)
        with anyio.fail_after(10), pytest.raises(ConnectionClosed):
            while True:
                await sockets[0].recv()
        assert sockets[0].close_code == 1001
        await busy.until("execution_success")
        for socket in (*sockets[1:], extra):
            tasks.start_soon(socket.close)
