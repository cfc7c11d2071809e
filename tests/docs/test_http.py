"""Every configuration with a `url` is called as its chat calls it: its headers, its name for us, its own name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from comfy_mcp.profiles import PROFILES, Profile, profile_named, profile_of
from comfy_mcp.proxy import listening
from comfy_mcp.workbench import Workbench
from tests.docs.asking import NAMES, PROFILE_OF_PAGE, painted, within
from tests.docs.pages import Configuration, configurations, filled, variables
from tests.server.chats import JOB, SMALL, text_of
from tests.workbenches import settings_for

CALLED = [each for each in configurations() if "url" in each.server]
TOKEN = "at-least-16-characters"
SET = {
    "LIBRECHAT_USER_ID": "66f0a1b2c3d4e5f60718293a",
    "COMFY_STEPS": "9",
    "COMFY_STYLE": "anime",
    "COMFY_SAMPLER": "euler",
    "COMFY_SCHEDULER": "normal",
    "COMFY_SUFFIX": "at night",
}
"""What a person has filled in."""
CASES = [
    pytest.param(each, person, id=f"{each.id}-{'filled' if person else 'empty'}")
    for each in CALLED
    for person in ([SET, {}] if "{" in str(each.headers) else [SET])
]


@asynccontextmanager
async def called(address: str, name: str, path: str, headers: dict[str, str]) -> AsyncGenerator[Client]:
    info = types.Implementation(name=name, version="1.0")
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{address}{path}", http_client=http), client_info=info, mode="legacy") as chat,
    ):
        yield chat


def taken_for(configuration: Configuration, name: str) -> Profile:
    return profile_named(configuration.headers.get("X-Workbench-Client", "")) or profile_of(name)


@pytest.mark.requirement("R19")
@pytest.mark.requirement("R24")
@pytest.mark.parametrize(("configuration", "person"), CASES)
@pytest.mark.requirement("R24")
async def test_a_served_workbench_answers(
    configuration: Configuration, person: dict[str, str], tmp_path: Path, embedded_url: str
) -> None:
    page, url = configuration.page.name, configuration.address
    known = {**person, "WORKBENCH_TOKEN": TOKEN}
    headers = {header: filled(value, known) for header, value in configuration.headers.items()}
    told = {name.removeprefix("WORKBENCH_").lower(): value for name, value in variables(configuration.page).items()}
    told.pop("token", None)
    if "Authorization" in headers:
        told["token"] = TOKEN
    settings = settings_for(tmp_path, embedded_url, **told)
    name = NAMES.get(page, ("Jan Streamable Client" if page == "jan.md" else "@librechat/api-client",))[0]
    profile = taken_for(configuration, name)
    assert profile.name == PROFILE_OF_PAGE.get(page, "librechat")
    wanted = {
        header.removeprefix("X-Comfy-").lower(): value
        for header, value in headers.items()
        if header.startswith("X-Comfy-") and "{" not in value
    }
    link = (settings.public_url or f"http://{url.netloc}") if profile.links else None

    async with (
        Workbench.open(settings) as workbench,
        listening(workbench) as address,
        called(address, name, url.path, {**headers, "Host": url.netloc}) as chat,
    ):
        within(await painted(chat, wanted), profile, link=link)


async def test_a_large_picture_is_made_to_fit_every_chat(tmp_path: Path, embedded_url: str) -> None:
    large = {**SMALL, "width": 2048, "height": 768, "steps": 1}
    async with (
        Workbench.open(settings_for(tmp_path, embedded_url)) as workbench,
        listening(workbench) as address,
    ):
        async with called(address, "somebody", "/mcp", {}) as chat:
            found = JOB.search(text_of(await chat.call_tool("txt2img", large)))
        assert found
        for profile in (*PROFILES, profile_of("")):
            async with called(address, "somebody", "/mcp", {"X-Workbench-Client": profile.name}) as chat:
                result = await chat.call_tool("get_result", {"job_id": found[1]})
                picture = within(result, profile, link=address if profile.links else None)
                assert max(picture.size) > profile.side / 2


@pytest.mark.parametrize("configuration", CALLED, ids=lambda each: each.id)
def test_what_is_written_is_what_the_chat_takes(configuration: Configuration) -> None:
    server = configuration.server
    assert configuration.address.path == "/mcp"
    # In LibreChat every field of a header must be one that a person can fill in, and the other way round.
    fields = {
        word.strip("{}") for value in configuration.headers.values() for word in value.split() if "{{COMFY" in word
    }
    assert fields == {*server.get("customUserVars", {})}
    if configuration.page.name in ("librechat.md", "README.md"):
        assert server["type"] == "streamable-http"
        assert server["requiresOAuth"] is False
        assert server["timeout"] > 60_000
