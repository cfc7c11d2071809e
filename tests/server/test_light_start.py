"""What a server that a chat starts must not load before it answers."""

from __future__ import annotations

import sys

import anyio

LOADED = """
import sys
import comfy_mcp.server.protocol, comfy_mcp.tools.toolbox
print(sorted({"jinja2", "comfy_mcp.proxy.app"} & set(sys.modules)))
"""


async def test_the_tools_are_listed_without_what_only_pages_need() -> None:
    done = await anyio.run_process([sys.executable, "-c", LOADED])
    assert done.stdout.decode().strip() == "[]"
