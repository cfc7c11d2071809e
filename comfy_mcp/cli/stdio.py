"""`comfy-workbench stdio`: one chat over standard input and output.

The handshake is answered before the workbench is even imported: chats that start us wait for it, and some not long.
"""

from __future__ import annotations

import gc
import os

import anyio
import click
from starlette.requests import Request

from comfy_mcp.jobs import Asset
from comfy_mcp.server.callers import standing_from
from comfy_mcp.server.protocol import WorkbenchServer
from comfy_mcp.server.stdio import serve_stdio
from comfy_mcp.tasks import background
from comfy_mcp.tools.registry import Toolbox

__all__ = ["command"]

_QUIET_SECONDS = 1.0
_GOODBYE_SECONDS = 1.5
"""Clients kill a server that is still there two seconds after they closed its input."""


@click.command("stdio")
def command() -> None:
    """Serve one chat over standard input and output, as Claude Desktop, LM Studio and Jan start it."""
    anyio.run(_serve)


async def _serve() -> None:
    late = _Late()
    async with background() as tasks:
        tasks.start_soon(late.open)
        own = {name: value for name, value in os.environ.items() if name.startswith("COMFY_")}
        server = WorkbenchServer(late.tools, _no_link, standing_from(own))
        tasks.start_soon(server.changes.watch, late.opened)
        try:
            await serve_stdio(server)
        finally:
            await late.stop_what_is_left()


class _Late:
    """The toolbox, made when it is first asked for, or when the handshake is surely over."""

    def __init__(self) -> None:
        self._wanted, self.opened = anyio.Event(), anyio.Event()
        self._toolbox: Toolbox | None = None

    async def open(self) -> None:
        with anyio.move_on_after(_QUIET_SECONDS):
            await self._wanted.wait()
        from comfy_mcp.settings import load_settings
        from comfy_mcp.tools.toolbox import toolbox
        from comfy_mcp.workbench import Workbench

        async with Workbench.open(load_settings()) as workbench:
            self._toolbox = toolbox(workbench)
            # As in serve: what is loaded now stays.
            gc.freeze()
            self.opened.set()
            await anyio.sleep_forever()

    async def stop_what_is_left(self) -> None:
        """The chat is gone, and its calls are cancelled: see that ComfyUI hears of it before we are gone too."""
        if self._toolbox is not None:
            with anyio.CancelScope(shield=True):
                await self._toolbox.workbench.stopped(_GOODBYE_SECONDS)

    async def tools(self) -> Toolbox:
        self._wanted.set()
        await self.opened.wait()
        assert self._toolbox is not None
        return self._toolbox


def _no_link(asset: Asset, request: Request | None) -> None:
    """Nothing listens, so no link would work."""
    return
