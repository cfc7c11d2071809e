"""Pictures that come with a request: let go when it is refused, and the same request when they are sent again."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.workbenches import served

IMG2IMG, EXTRAS, EDITS = "/sdapi/v1/img2img", "/sdapi/v1/extra-single-image", "/v1/images/edits"
CHAT = "/v1/chat/completions"
LONG: dict[str, Any] = {"prompt": "a", "width": 64, "height": 64, "steps": 150}


def img2img(told: str) -> dict[str, Any]:
    return {"prompt": "a", "steps": 2, "init_images": [told], "denoising_strength": 0.5}


def inpaint(told: str) -> dict[str, Any]:
    return {**img2img(told), "mask": told}


def extras(told: str) -> dict[str, Any]:
    return {"image": told, "upscaling_resize": 2}


def edit(told: str) -> dict[str, Any]:
    return {"prompt": "a", "steps": 2, "image": told}


def agent(told: str) -> dict[str, Any]:
    url = {"url": f"data:image/png;base64,{told}"}
    parts = [{"type": "text", "text": "a cat --steps 2"}, {"type": "image_url", "image_url": url}]
    return {"model": "workflow/img2img", "messages": [{"role": "user", "content": parts}]}


DOORS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "img2img": (IMG2IMG, img2img),
    "inpaint": (IMG2IMG, inpaint),
    "extras": (EXTRAS, extras),
    "edits": (EDITS, edit),
    "agent": (CHAT, agent),
}


@pytest.fixture
def b64(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def kept(data: Path) -> tuple[int, int]:
    """Pictures that were sent, as records and as files."""
    with closing(sqlite3.connect(data / "workbench.sqlite3")) as database:
        (records,) = database.execute("SELECT count(*) FROM asset WHERE job IS NULL").fetchone()
    return records, sum(1 for path in data.rglob("upload*") if path.is_file())


async def jobs(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    return (await client.get("/api/v1/jobs")).json()["jobs"]


async def fill(client: httpx.AsyncClient) -> None:
    """Until the queue takes no more."""
    while (await client.post("/api/v1/jobs", json={"template": "txt2img", "values": LONG})).is_success:
        pass


async def end(client: httpx.AsyncClient) -> None:
    for job in await jobs(client):
        await client.delete(f"/api/v1/jobs/{job['id']}")


@pytest.mark.parametrize("door", DOORS)
async def test_a_picture_for_which_there_is_no_room_is_not_kept(
    tmp_path: Path, slow_url: str, b64: str, door: str
) -> None:
    path, body = DOORS[door]
    async with served(tmp_path, slow_url, max_queue=1) as client:
        await fill(client)
        answer = await client.post(path, json=body(b64))
        told = (answer.status_code, kept(tmp_path))
        await end(client)
    assert told == (429, (0, 0))


async def test_a_picture_that_somebody_else_sent_too_stays(
    tmp_path: Path, slow_url: str, picture: bytes, b64: str
) -> None:
    async with served(tmp_path, slow_url, max_queue=1) as client:
        sent = await client.post("/api/v1/assets", content=picture, headers={"content-type": "image/png"})
        await fill(client)
        assert (await client.post(IMG2IMG, json=img2img(b64))).status_code == 429
        assert kept(tmp_path) == (1, 1)
        assert (await client.get(f"/api/v1/assets/{sent.json()['id']}")).status_code == 200
        await end(client)


@pytest.mark.parametrize(
    "header", [{"idempotency-key": "once"}, {"x-stainless-retry-count": "1"}], ids=lambda it: next(iter(it))
)
@pytest.mark.parametrize("door", DOORS)
async def test_the_same_picture_sent_again_is_the_same_request(
    tmp_path: Path, embedded_url: str, b64: str, door: str, header: dict[str, str]
) -> None:
    path, body = DOORS[door]
    async with served(tmp_path, embedded_url) as client:
        for _ in range(2):
            answer = await client.post(path, json=body(b64), headers=header)
            assert answer.status_code == 200, answer.text
        assert len(await jobs(client)) == 1


async def test_another_picture_is_another_request(tmp_path: Path, embedded_url: str, b64: str) -> None:
    async with served(tmp_path, embedded_url) as client:
        made = (await client.post(IMG2IMG, json=img2img(b64))).json()["images"][0]
        key = {"idempotency-key": "once"}
        answers = [await client.post(IMG2IMG, json=img2img(told), headers=key) for told in (b64, made)]
    assert [answer.status_code for answer in answers] == [200, 409]
