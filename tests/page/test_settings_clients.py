"""Every configuration that the page offers can be read by its chat, and leads to a workbench that answers."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
import yaml
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from comfy_mcp.callers import Right
from comfy_mcp.cli.snippets import snippets
from comfy_mcp.proxy import listening
from comfy_mcp.settings import load_settings
from comfy_mcp.snippets import Address, snippets_for
from comfy_mcp.ui import words_in
from comfy_mcp.workbench import Workbench
from tests.workbenches import served, settings_for

ROOT = Path(__file__).parents[2]
PRE = re.compile(r'<pre tabindex="0" id="([a-z-]+)"[^>]*>(.*?)</pre>', re.S)


def shown(page: str) -> dict[str, Any]:
    """The configurations of a page, read as their chats read them."""
    found = {name: html.unescape(text) for name, text in PRE.findall(page)}
    assert len(found) == len(snippets_for(Address("http://a:1")))
    return {name: yaml.safe_load(text) if name == "librechat" else json.loads(text) for name, text in found.items()}


def called(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every server in a configuration that is reached by an address."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if str(table.get("url", "")).endswith("/mcp"):
            yield table
        value = list(table.values())
    for each in cast("list[Any]", value) if isinstance(value, list) else ():
        yield from called(each)


async def tools_at(server: Mapping[str, Any], address: str) -> list[str]:
    """What the server that is meant offers; it listens at ``address``."""
    headers = {name: str(text) for name, text in server.get("headers", {}).items()}
    if server.get("key"):
        headers["Authorization"] = f"Bearer {server['key']}"
    url = urlsplit(str(server["url"]))
    headers["Host"] = url.netloc
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(f"{address}{url.path}", http_client=http)) as chat,
    ):
        return [tool.name for tool in (await chat.list_tools()).tools]


@pytest.mark.requirement("R19")
@pytest.mark.parametrize("container", [False, True], ids=["here", "container"])
async def test_every_configuration_leads_to_us(tmp_path: Path, embedded_url: str, container: bool) -> None:
    hosts = ["host.docker.internal:*"] if container else []
    path = "/settings/clients" + ("?container=yes" if container else "")
    async with served(tmp_path, embedded_url, allowed_hosts=hosts) as http:
        page = (await http.get(path)).text
        assert "WORKBENCH_ALLOWED_HOSTS" not in page
        found = shown(page)
        address = str(http.base_url).rstrip("/")
        host = "host.docker.internal" if container else "127.0.0.1"
        for name, configuration in found.items():
            servers = list(called(configuration))
            assert len(servers) == (name != "claude-desktop"), name
            for server in servers:
                assert urlsplit(str(server["url"])).hostname == host
                assert "txt2img" in await tools_at(server, address), name
        assert found["librechat"]["mcpSettings"]["allowedAddresses"] == [f"{host}:{http.base_url.port}"]
        assert found["claude-desktop"]["mcpServers"]["comfyui"]["env"] == {"WORKBENCH_COMFYUI_URL": embedded_url}


async def test_a_token_stands_where_the_chat_sends_it_from(tmp_path: Path, embedded_url: str) -> None:
    async with (
        Workbench.open(settings_for(tmp_path, embedded_url), dispatch=False) as workbench,
        listening(workbench) as address,
        httpx.AsyncClient(base_url=address, trust_env=False) as http,
    ):
        own = {"Origin": address}
        first = (await http.post("/settings/tokens", data={"name": "me"}, headers=own)).text
        (token,) = set(re.findall(r"wb_[\w-]{20,}", first))
        assert await workbench.tokens.principal(token.encode())
        assert Right.ADMIN in (await workbench.tokens.all())[0].rights
        # The cookie came with the answer, so this is no redirect to the page for signing in.
        placed = shown((await http.get("/settings/clients")).text.replace("YOUR-TOKEN", token))
        for name, configuration in placed.items():
            for server in called(configuration):
                # The quick import of LobeHub takes the address only; the token goes into its form.
                more = {"key": token} if name == "lobehub" else {}
                assert "txt2img" in await tools_at({**server, **more}, address), name


async def test_a_container_is_told_what_is_missing(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        page = (await http.get("/settings/clients?container=yes")).text
        assert f"WORKBENCH_ALLOWED_HOSTS=host.docker.internal:{http.base_url.port}" in page
    async with served(tmp_path, embedded_url, public_url="https://pictures.example") as http:
        page = (await http.get("/settings/clients?container=yes")).text
        assert "https://pictures.example/mcp" in page and "host.docker.internal" not in page


def test_the_command_line_says_the_same_and_every_chat_has_its_document() -> None:
    told = snippets(load_settings(port=8190))
    words = words_in("zh")
    for each in snippets_for(Address("http://127.0.0.1:8190")):
        assert f"{each.title}: {each.where}" in told
        assert (ROOT / each.page).is_file() and each.where in words, each.id
