"""What the guard refuses is told in the words of the front door that was asked, and what a proxy may claim."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.workbenches import served

TOKEN = "a-token-of-sixteen"
MOST = 2**16
SHAPES = {
    "/v1/models": {"message", "type", "param", "code"},
    "/api/v1/jobs": {"code", "message", "hint", "details"},
    "/mcp": {"code", "message", "hint", "details"},
    "/comfyui/prompt": {"type", "message", "details", "extra_info"},
}
JSON_DOORS = [
    "/api/v1/jobs",
    "/api/v1/compare",
    "/v1/chat/completions",
    "/v1/images/generations",
    "/sdapi/v1/txt2img",
    "/sdapi/v1/options",
    "/mcp",
]


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("words")
    more: dict[str, Any] = {"token": TOKEN, "rate": 0, "comfyui_routes": True, "max_body": MOST}
    async with served(folder, "http://127.0.0.1:9", **more) as client:
        yield client


def refusals() -> list[tuple[int, dict[str, str], bytes]]:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    return [
        (401, {}, b""),
        (421, {"Host": "evil.example"}, b""),
        (403, {"Origin": "http://evil.example"}, b""),
        (431, {"X": "y" * 20_000}, b""),
        (413, bearer, b"x" * (MOST + 1)),
    ]


@pytest.mark.parametrize("path", [*SHAPES, "/sdapi/v1/options", "//sdapi/v1/options"])
async def test_each_refusal_has_the_shape_that_its_clients_read(client: httpx.AsyncClient, path: str) -> None:
    for status, headers, body in refusals():
        url = str(client.base_url).rstrip("/") + path
        answer = await client.post(url, headers=headers, content=body)
        assert answer.status_code == status, answer.text
        told: dict[str, Any] = answer.json()
        if "sdapi" in path:
            assert set(told) == {"error", "detail", "body", "errors"} and isinstance(told["error"], str)
        else:
            assert set(told["error"]) == SHAPES[path]


async def test_too_many_requests_are_told_so_too(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9", token=TOKEN, rate=1) as limited:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        await limited.get("/sdapi/v1/cmd-flags", headers=headers)
        answer = await limited.get("/sdapi/v1/cmd-flags", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many")
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("path", ["/sdapi/v1/options", "//sdapi/v1/options", "/comfyui/prompt"])
async def test_a_password_is_asked_for_where_clients_have_one(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(str(client.base_url).rstrip("/") + path)
    assert answer.headers["www-authenticate"] == 'Bearer, Basic realm="workbench"'


@pytest.mark.parametrize("path", JSON_DOORS)
@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_json_that_is_not_said_to_be_json_is_refused(
    client: httpx.AsyncClient, path: str, kind: str | None
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", **({} if kind is None else {"Content-Type": kind})}
    assert (await client.post(path, content=b"{}", headers=headers)).status_code == 415


async def test_comfyuis_clients_may_name_no_kind(client: httpx.AsyncClient) -> None:
    """LobeHub sends none."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = await client.post("/comfyui/queue", content=b'{"delete": []}', headers=headers)
    assert answer.status_code == 200


async def test_what_a_caller_claims_to_forward_counts_for_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9", token=TOKEN, rate=3) as open_client:
        answers = [
            await open_client.get("/api/v1/jobs", headers={"X-Forwarded-For": f"10.0.0.{number}"})
            for number in range(4)
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_addresses_are_of_the_scheme_that_was_really_spoken(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9") as open_client:
        answer = await open_client.get("/queue/", headers={"X-Forwarded-Proto": "https"})
    assert answer.headers["location"].startswith("http://")
