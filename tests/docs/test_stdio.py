"""Every configuration with a `command` is started as it stands, and called under the name of its chat."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from comfy_mcp.profiles import profile_named, profile_of
from tests.docs.asking import NAMES, PROFILE_OF_PAGE, painted, within
from tests.docs.pages import CLIENT_PAGES, Configuration, configurations

STARTED = [each for each in configurations() if "command" in each.server]
JAN = "rmcp"
"""What Jan's library calls itself when Jan gives it no name."""


@pytest.mark.requirement("R20")
@pytest.mark.requirement("R24")
@pytest.mark.parametrize("configuration", STARTED, ids=lambda each: each.id)
@pytest.mark.requirement("R24")
async def test_a_started_workbench_answers(configuration: Configuration, tmp_path: Path, embedded_url: str) -> None:
    page, server = configuration.page.name, configuration.server
    (name,) = NAMES.get(page, (JAN if page == "jan.md" else "claude-ai",))
    written = dict(server.get("env", {}))
    # Where a chat starts us there is a settings file or none; never that of who runs the tests.
    env = {**written, "WORKBENCH_SETTINGS": os.environ["WORKBENCH_SETTINGS"]}
    env |= {"WORKBENCH_DATA": str(tmp_path), "WORKBENCH_COMFYUI_URL": embedded_url}
    assert server["command"].endswith("/comfy-workbench")
    started = StdioServerParameters(command=sys.executable, args=["-m", "comfy_mcp", *server["args"]], env=env)
    settings = {key.removeprefix("COMFY_").lower(): value for key, value in written.items() if key[:6] == "COMFY_"}
    taken_for = profile_named(written.get("WORKBENCH_CLIENT", "")) or profile_of(name)
    assert taken_for.name == PROFILE_OF_PAGE.get(page, "claude-desktop")

    info = types.Implementation(name=name, version="1.0")
    with anyio.fail_after(30):
        async with Client(stdio_client(started), client_info=info, mode="legacy") as chat:
            result = await painted(chat, settings)
            within(result, taken_for, link=None)
            with anyio.fail_after(2):
                assert (await chat.list_tools()).tools


def test_every_page_that_speaks_of_variables_has_a_configuration_to_start() -> None:
    pages = {each.page for each in STARTED}
    http_only = {"librechat.md", "open-webui.md", "claude-ai.md"}
    assert {page.name for page in CLIENT_PAGES if page not in pages} == http_only


def test_a_chat_that_gives_the_name_of_its_library_is_known_by_that() -> None:
    assert profile_of(JAN).name == "jan"
