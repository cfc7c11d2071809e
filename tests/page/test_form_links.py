"""The link to a person's form that chats give: for whom, for how long, and what it lets in."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.page.conftest import At
from tests.workbenches import served

TOKEN = "a-token-of-sixteen"
SMALL = {"prompt": "a lake", "width": 64, "height": 64, "steps": 2}


async def form_link(http: httpx.AsyncClient, headers: dict[str, str]) -> str:
    """What a chat of this user is told beside its picture."""
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as sending,
        Client(streamable_http_client(f"{http.base_url}/mcp", http_client=sending)) as chat,
    ):
        told = await chat.call_tool("txt2img", SMALL)
    (link,) = re.findall(r"Change it in a form: (\S+)", str(told.content[0]))
    return link.partition("\\n")[0].partition("'")[0]


async def test_a_person_comes_from_the_chat_to_their_own_form(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with served(tmp_path, embedded_url, token=TOKEN, forwarded_users=True) as http:
        ann = {"Authorization": f"Bearer {TOKEN}", "X-User-Id": "ann"}
        link = await form_link(http, ann)
        job = (await http.get("/api/v1/jobs", headers=ann)).json()["jobs"][0]["id"]
        async with person(http.base_url) as somebody:
            await somebody.page.goto(link)
            await somebody.page.wait_for_url(f"**/tools/txt2img?job={job}")
            jobs = await somebody.page.request.get(f"{somebody.url}/api/v1/jobs")
            assert [each["id"] for each in (await jobs.json())["jobs"]] == [job]
            # It is good for making, as the chat is, and for nothing that holds for all.
            refused = await somebody.page.request.post(
                f"{somebody.url}/api/v1/backends/comfyui/pause", headers={"Origin": somebody.url}
            )
            assert refused.status == 403


async def test_who_is_in_already_keeps_their_rights(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        answer = await http.get(await form_link(http, {}))
        assert answer.status_code == 303 and answer.headers["location"].startswith("/tools/txt2img?job=")
        assert "set-cookie" not in answer.headers


async def test_a_link_that_was_changed_lets_nobody_in_and_shows_no_picture(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url, token=TOKEN) as http:
        link = await form_link(http, {"Authorization": f"Bearer {TOKEN}"})
        assert (await http.get(link[:-3] + "AAA")).status_code == 400
        picture = link.replace("/enter/", "/api/v1/assets/x?signature=")
        assert (await http.get(picture)).status_code == 401


@pytest.mark.parametrize("path", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "x"])
async def test_signing_in_leads_nowhere_else(tmp_path: Path, embedded_url: str, path: str) -> None:
    async with served(tmp_path, embedded_url, token=TOKEN) as http:
        told = {"token": TOKEN, "to": path}
        answer = await http.post("/sign-in", data=told, headers={"Origin": str(http.base_url).rstrip("/")})
        assert answer.headers["location"] == "/"
