"""Who calls: every form in which a token is sent, what it is good for, and when none is needed."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from comfy_mcp.callers import EVERYTHING, Principal, Right
from comfy_mcp.proxy.guard import Rules
from comfy_mcp.proxy.guard.identity import tokens_in
from comfy_mcp.workbench.tokens import Token
from tests.proxy.guard.serving import TOKEN, basic, bearer, guarded, stored

UNFIT = [
    [],
    [""],
    ["Bearer"],
    ["Bearer wrong"],
    [f"Bearer {TOKEN}x"],
    ["Bearer ü"],
    [TOKEN],
    [f"Token {TOKEN}"],
    [f"Basic {TOKEN}"],
    ["Basic"],
    ["Basic !!!!"],
    ["Basic " + base64.b64encode(b":").decode()],
    ["Basic " + base64.b64encode(b"user:wrong").decode()],
    ["Basic " + base64.b64encode(f"x{TOKEN}:".encode()).decode()],
    [f"Bearer {TOKEN}", f"Bearer {TOKEN}"],
]


@pytest.fixture(scope="module")
async def token_url() -> AsyncGenerator[str]:
    async with guarded(Rules(token=TOKEN, owner=Principal(rights=EVERYTHING))) as url:
        yield url


@pytest.mark.parametrize("values", UNFIT)
async def test_without_the_token_nothing_but_health_and_signed_links_answers(
    token_url: str, http: httpx.AsyncClient, values: list[str]
) -> None:
    headers = [(b"authorization", value.encode()) for value in values]
    answer = await http.get(token_url, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    sent = bool(tokens_in([value.encode().decode("latin-1") for value in values]))
    assert answer.json()["error"]["code"] == ("token_unknown" if sent else "token_missing")
    assert (await http.get(f"{token_url}/healthz", headers=headers)).status_code == 200
    assert (await http.head(f"{token_url}/healthz", headers=headers)).status_code == 200
    assert (await http.post(f"{token_url}/healthz", headers=headers)).status_code == 401
    assert (await http.get(f"{token_url}/link", headers=headers)).status_code == 200


@pytest.mark.parametrize("path", ["/sdapi/v1/options", "/comfyui/prompt"])
async def test_browsers_may_ask_for_a_password_where_clients_have_one(
    token_url: str, http: httpx.AsyncClient, path: str
) -> None:
    assert (await http.get(token_url + path)).headers["www-authenticate"] == 'Bearer, Basic realm="workbench"'


@pytest.mark.parametrize(
    "headers",
    [
        bearer(TOKEN),
        {"authorization": f"bearer {TOKEN}"},
        {"authorization": f"BEARER   {TOKEN}"},
        basic("anybody", TOKEN),
        basic("", TOKEN),
        basic(TOKEN, ""),
        basic(TOKEN, "x:y"),
    ],
)
async def test_the_token_opens_in_every_form(token_url: str, http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    told = (await http.get(f"{token_url}/me", headers=headers)).json()
    assert told == ["local", "local", sorted(EVERYTHING)]


async def test_a_token_may_have_letters_beyond_ascii(http: httpx.AsyncClient) -> None:
    async with guarded(Rules(token="schlüssel-für-alle")) as url:
        sent = [(b"authorization", "Bearer schlüssel-für-alle".encode())]
        assert (await http.get(url, headers=sent)).status_code == 200


async def test_without_any_token_on_loopback_everybody_is_the_owner(http: httpx.AsyncClient, tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens, guarded(Rules(), tokens) as url:
        for headers in ({}, bearer("sk-whatever-the-client-insists-on"), basic("a", "b")):
            assert (await http.get(f"{url}/me", headers=headers)).json()[:2] == ["local", "local"]


async def test_beyond_loopback_nobody_passes_without_a_token(http: httpx.AsyncClient) -> None:
    async with guarded(Rules(exposed=True)) as url:
        assert (await http.get(url)).status_code == 401


async def test_a_stored_token_says_whose_jobs_and_what_it_may(http: httpx.AsyncClient, tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens:
        given = await tokens.add(Token("tablet", "anna", frozenset({Right.MAKE, Right.GRAPHS})))
        async with guarded(Rules(token=TOKEN), tokens) as url:
            for headers in (bearer(given), basic("anna", given), basic(given, "")):
                assert (await http.get(f"{url}/me", headers=headers)).json() == ["tablet", "anna", ["graphs", "make"]]
            assert (await http.get(f"{url}/me", headers=bearer(TOKEN))).json()[0] == "local"
            assert (await http.get(url, headers=bearer(given[:-1]))).status_code == 401


async def test_a_token_that_is_taken_back_lets_nobody_in_any_more(http: httpx.AsyncClient, tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens, guarded(Rules(), tokens) as url:
        assert (await http.get(url)).status_code == 200
        given = await tokens.add(Token("tablet"))
        assert (await http.get(url)).status_code == 401
        assert (await http.get(url, headers=bearer(given))).status_code == 200
        await tokens.revoke("tablet")
        assert (await http.get(url, headers=bearer(given))).status_code == 401
        assert (await http.get(url)).status_code == 401


async def test_the_last_token_that_is_taken_back_opens_nothing(http: httpx.AsyncClient, tmp_path: Path) -> None:
    """Also where nobody ever came without one, so that none had to be demanded."""
    async with stored(tmp_path) as tokens:
        given = await tokens.add(Token("tablet"))
        async with guarded(Rules(), tokens) as url:
            assert (await http.get(url, headers=bearer(given))).status_code == 200
            await tokens.revoke("tablet")
            assert (await http.get(url, headers=bearer(given))).status_code == 401
            assert (await http.get(url)).status_code == 401


@pytest.mark.parametrize(
    ("path", "right"), [("/comfyui/prompt", Right.GRAPHS), ("/api/v1/backends/one/pause", Right.ADMIN), ("/", None)]
)
async def test_a_right_that_is_missing_is_named(
    http: httpx.AsyncClient, tmp_path: Path, path: str, right: Right | None
) -> None:
    async with stored(tmp_path) as tokens:
        given = await tokens.add(Token("tablet"))
        async with guarded(Rules(), tokens) as url:
            assert (await http.get(url + path, headers=bearer(given))).status_code == 200
            answer = await http.post(url + path, headers=bearer(given))
    if right is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
        assert f"--right {right}" in answer.json()["error"]["hint"]


async def test_tokens_that_cannot_be_read_let_nobody_in(http: httpx.AsyncClient, tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens:
        given = await tokens.add(Token("tablet"))
    async with guarded(Rules(), tokens) as url:
        answer = await http.get(url, headers=bearer(given))
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "database_unavailable")
        assert (await http.get(f"{url}/healthz")).status_code == 200
