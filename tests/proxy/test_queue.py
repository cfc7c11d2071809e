"""The queue over REST: places, priorities, backends, and what a full queue answers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.workbenches import served

SMALL = {"prompt": "a red house", "width": 64, "height": 64, "steps": 2}


@pytest.fixture
async def paused(tmp_path: Path, embedded_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """Nothing runs until it is resumed."""
    async with served(tmp_path, embedded_url, max_queue=3) as client:
        assert (await client.post("/api/v1/backends/comfyui/pause")).status_code == 200
        yield client


async def post(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await http.post("/api/v1/jobs", json={"template": "txt2img", "values": SMALL, **more})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def test_the_queue_lists_what_waits_with_priority(paused: httpx.AsyncClient) -> None:
    usual, urgent = await post(paused), await post(paused, priority=5)

    queue = (await paused.get("/api/v1/queue")).json()["jobs"]

    assert [(job["id"], job["state"], job["priority"]) for job in queue] == [
        (usual["id"], "queued", 0),
        (urgent["id"], "queued", 5),
    ]
    assert [job["position"] for job in queue] == [0, 1]


async def test_backends_are_listed_paused_drained_and_resumed(paused: httpx.AsyncClient) -> None:
    (backend,) = (await paused.get("/api/v1/backends")).json()["backends"]
    assert (backend["name"], backend["mode"], backend["running"], backend["concurrency"]) == ("comfyui", "paused", 0, 1)
    job = await post(paused)
    drained = (await paused.post("/api/v1/backends/comfyui/drain")).json()["backends"][0]
    assert drained["mode"] == "draining"
    resumed = (await paused.post("/api/v1/backends/comfyui/resume")).json()["backends"][0]
    assert resumed["mode"] == "active"
    with anyio.fail_after(20):
        while (done := (await paused.get(f"/api/v1/jobs/{job['id']}")).json())["state"] != "succeeded":
            await anyio.sleep(0.05)
    assert (done["backend"], done["attempts"], done["model"]) == ("comfyui", 1, "procedural-sd15.safetensors")
    assert done["position"] is None


@pytest.mark.parametrize(("path", "status"), [("nothing/pause", 404), ("comfyui/stop", 422), ("comfyui", 404)])
async def test_an_order_that_makes_no_sense_is_refused(paused: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await paused.post(f"/api/v1/backends/{path}")).status_code == status


async def test_a_full_queue_answers_when_to_come_back(paused: httpx.AsyncClient) -> None:
    for _ in range(3):
        await post(paused)
    refused = await paused.post("/api/v1/jobs", json={"template": "txt2img", "values": SMALL})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) == refused.json()["error"]["details"]["retry_after"]


@pytest.mark.parametrize(
    "more",
    [
        *({"priority": 11}, {"priority": "high"}, {"priority": 2**70}),
        *({"tags": ["x" * 65]}, {"tags": ["nowhere"]}),
        *({"expires_in": 0}, {"expires_in": -1}, {"expires_in": 1e300}),
    ],
)
async def test_what_the_queue_cannot_do_is_refused(paused: httpx.AsyncClient, more: dict[str, Any]) -> None:
    answer = await paused.post("/api/v1/jobs", json={"template": "txt2img", "values": SMALL, **more})
    assert answer.status_code in (400, 422)
    assert (await paused.get("/api/v1/queue")).json()["jobs"] == []


async def test_events_of_a_waiting_job_tell_its_place(paused: httpx.AsyncClient) -> None:
    jobs = [await post(paused) for _ in range(2)]
    told = dict[str, Any]()
    async with paused.stream("GET", f"/api/v1/jobs/{jobs[1]['id']}/events") as stream:
        with anyio.fail_after(10):
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    told = json.loads(line[6:])
                    break
    assert (told["state"], told["position"]) == ("queued", 1)


async def test_a_job_expires_when_nothing_could_start_it(paused: httpx.AsyncClient) -> None:
    job = await post(paused, expires_in=0.5)
    with anyio.fail_after(15):
        while (told := (await paused.get(f"/api/v1/jobs/{job['id']}")).json())["state"] != "expired":
            await anyio.sleep(0.1)
    assert told["error"]["code"] == "expired" and told["error"]["hint"]
