"""Pictures as Server-Sent Events: some previews, then the picture; and what becomes of the job of who hangs up."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import pytest

from tests.proxy.openai.pictures import jobs_in, plain, shown

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
SLOW: dict[str, Any] = {"prompt": "a red house", "size": "64x64", "steps": 12, "stream": True}

Event = tuple[str, dict[str, Any]]


def events_in(text: str) -> list[Event]:
    blocks = [block.splitlines() for block in text.split("\n\n") if block and not block.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


async def state_of_first(http: httpx.AsyncClient, wanted: str) -> dict[str, Any]:
    with anyio.fail_after(20):
        while True:
            jobs = await jobs_in(http)
            if jobs and jobs[0]["state"] == wanted:
                return jobs[0]
            await anyio.sleep(0.05)


@pytest.mark.requirement("R22")
@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
async def test_previews_come_before_the_picture(slow_api: httpx.AsyncClient, kind: str) -> None:
    answer = await slow_api.post(GENERATIONS, json={**SLOW, "partial_images": 2, "output_format": kind})

    assert answer.headers["content-type"].startswith("text/event-stream")
    *partials, (name, last) = events_in(answer.text)
    assert [told["partial_image_index"] for _, told in partials] == [0, 1]
    for event, told in partials:
        assert event == told["type"] == "image_generation.partial_image"
        assert shown(told["b64_json"]).format == kind.upper()
    assert name == last["type"] == "image_generation.completed"
    picture = shown(last["b64_json"])
    assert (picture.format, f"{picture.width}x{picture.height}") == (kind.upper(), last["size"])
    assert last["usage"]["total_tokens"] == 0
    for _, told in (*partials, (name, last)):
        assert (told["output_format"], told["quality"], told["background"]) == (kind, "auto", "opaque")
        assert isinstance(told["created_at"], int)


async def test_who_asks_for_no_previews_gets_the_picture_alone(slow_api: httpx.AsyncClient) -> None:
    for more in ({}, {"partial_images": 0}, {"partial_images": None}):
        answer = await slow_api.post(GENERATIONS, json={**SLOW, "steps": 6, **more})
        assert [name for name, _ in events_in(answer.text)] == ["image_generation.completed"]


async def test_an_edit_streams_under_its_own_name(slow_api: httpx.AsyncClient) -> None:
    fields = {"prompt": "a cat", "stream": "true", "partial_images": "1", "steps": "8", "n": "2"}
    answer = await slow_api.post(EDITS, data=fields, files={"image": ("a.png", plain(), "image/png")})

    names = [name for name, _ in events_in(answer.text)]
    assert names == ["image_edit.partial_image", "image_edit.completed", "image_edit.completed"]


async def test_comments_fill_the_silence(slow_api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfy_mcp.proxy.openai.images.stream._COMMENT_SECONDS", 0.1)
    answer = await slow_api.post(GENERATIONS, json=SLOW)
    assert answer.text.count(": ping") >= 3


async def test_what_is_refused_is_no_stream(slow_api: httpx.AsyncClient) -> None:
    answer = await slow_api.post(GENERATIONS, json={**SLOW, "steps": 0})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "steps")


async def test_a_job_that_fails_ends_the_stream_with_an_error(slow_api: httpx.AsyncClient) -> None:
    async with slow_api.stream("POST", GENERATIONS, json={**SLOW, "steps": 100}) as stream:
        job = await state_of_first(slow_api, "running")
        await slow_api.delete(f"/api/v1/jobs/{job['id']}")
        (name, told), *more = events_in((await stream.aread()).decode())

    assert (name, more, told["type"], told["error"]["code"]) == ("error", [], "error", "interrupted")
    assert told["error"]["message"]


async def test_the_job_of_a_stream_that_nobody_reads_any_more_is_given_up(
    slow_api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfy_mcp.proxy.making._GRACE_SECONDS", 0.1)
    async with slow_api.stream("POST", GENERATIONS, json={**SLOW, "steps": 150}):
        await state_of_first(slow_api, "running")
    await state_of_first(slow_api, "cancelled")
