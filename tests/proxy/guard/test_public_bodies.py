"""Bodies that nobody's token vouches for are short, and no form costs more than it is worth."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from comfy_mcp.proxy.guard import Rules
from tests.proxy.guard.serving import TOKEN, bearer, guarded
from tests.workbenches import served

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MOST = 2**16
MOST_ENCODED = 2**20


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("bodies")
    async with served(folder, "http://127.0.0.1:9", token=TOKEN, rate=0) as client:
        yield client


async def pieces(body: bytes) -> AsyncGenerator[bytes]:
    """The body without its length told before."""
    for start in range(0, len(body), 2**15):
        yield body[start : start + 2**15]


@pytest.mark.parametrize("path", ["/sign-in", "/look"])
@pytest.mark.parametrize("told", [True, False])
async def test_a_large_form_of_nobody_is_refused(client: httpx.AsyncClient, path: str, told: bool) -> None:
    body = b"&" * (MOST + 1)
    answer = await client.post(path, content=body if told else pieces(body), headers=FORM)
    assert answer.status_code == 413
    assert (await client.post(path, data={"token": "x" * (MOST - 100)})).status_code in (303, 403)


async def test_public_bodies_are_never_larger_than_others(http: httpx.AsyncClient) -> None:
    async with guarded(Rules(token=TOKEN, max_body=1000)) as url:
        assert (await http.post(f"{url}/sign-in", content=b"x" * 1001)).status_code == 413
    async with guarded(Rules(token=TOKEN)) as url:
        assert (await http.post(url, content=b"x" * MOST * 2, headers=bearer(TOKEN))).text == str(MOST * 2)


@pytest.mark.parametrize("piece", [b"&", b"=&", b"a=1&", b";", b"%41", b"+", b"%"])
async def test_the_largest_form_of_somebody_costs_less_than_a_second(client: httpx.AsyncClient, piece: bytes) -> None:
    body = piece * (MOST_ENCODED // len(piece))
    # Of the processor: what else runs on this machine is no matter.
    began = time.process_time()
    answer = await client.post("/queue/cancel", content=body, headers={**FORM, **bearer(TOKEN)})
    assert time.process_time() - began < 1
    assert 400 <= answer.status_code < 500


async def test_a_larger_form_is_refused_with_a_hint(client: httpx.AsyncClient) -> None:
    body = b"a" * (MOST_ENCODED + 1)
    answer = await client.post("/queue/cancel", content=body, headers={**FORM, **bearer(TOKEN)})
    assert answer.status_code == 413
    assert "Send less at once." in answer.text


async def test_the_fields_of_a_form_come_as_they_were_typed(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9", token=TOKEN) as client:
        typed = {"token": f" {TOKEN} ", "to": "/queue/?a=1&b=%2B+;ü", "empty": ""}
        answer = await client.post("/sign-in", data=typed)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
