"""Pages of other origins: which may call, and what the answers tell browsers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest

from comfy_mcp.proxy.guard import Rules
from tests.proxy.guard.serving import TOKEN, bearer, guarded

CHAT = "http://chat:3000"
ASKED = {"origin": CHAT, "access-control-request-method": "POST", "access-control-request-headers": "x-comfy-steps"}


@pytest.fixture(scope="module")
async def url() -> AsyncGenerator[str]:
    async with guarded(Rules(token=TOKEN, origins=frozenset({CHAT, "http://other:1"}))) as address:
        yield address


async def test_a_browser_asks_for_a_listed_page_without_the_token(url: str, http: httpx.AsyncClient) -> None:
    answer = await http.options(f"{url}/comfyui/prompt", headers=ASKED)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == CHAT
    assert "x-comfy-steps" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["null", "http://evil.example", "http://chat:3001", "http://chat"])
async def test_a_browser_asks_for_another_page_in_vain(url: str, http: httpx.AsyncClient, origin: str) -> None:
    answer = await http.options(url, headers={**ASKED, "origin": origin})

    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_a_listed_page_reads_answers_and_refusals(url: str, http: httpx.AsyncClient) -> None:
    refused = await http.post(url, headers={"origin": CHAT})
    answered = await http.post(url, headers={"origin": CHAT, **bearer(TOKEN)})

    assert (refused.status_code, answered.status_code) == (401, 200)
    for answer in (refused, answered):
        assert answer.headers["access-control-allow-origin"] == CHAT
        assert answer.headers["vary"] == "Origin"
        assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]


async def test_without_listed_origins_nobody_is_told_that_they_may(http: httpx.AsyncClient) -> None:
    async with guarded(Rules()) as url:
        assert (await http.options(url, headers=ASKED)).status_code == 403
        answer = await http.options(url)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_every_answer_says_how_browsers_should_take_it(url: str, http: httpx.AsyncClient) -> None:
    answers = [await http.get(url + path, headers=bearer(TOKEN)) for path in ("/", "/nowhere", "/me")]
    answers += [await http.get(url), await http.get(url, headers={"host": "evil.example"})]

    assert [answer.status_code for answer in answers] == [200, 404, 200, 401, 421]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert ["cache-control" in answer.headers for answer in answers] == [False, False, True, True, True]
    assert answers[2].headers["cache-control"] == "no-store"


async def test_what_an_answer_says_itself_stands(url: str, http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{url}/page", headers=bearer(TOKEN))

    assert answer.headers.get_list("content-security-policy") == ["default-src 'none'"]
    assert answer.headers.get_list("cache-control") == ["x"]


async def test_a_picture_behind_a_signed_link_can_stand_in_a_chat(url: str, http: httpx.AsyncClient) -> None:
    assert (await http.get(f"{url}/link")).headers["cross-origin-resource-policy"] == "cross-origin"
