"""`comfy-workbench stdio`: one chat over standard input and output.

The handshake is answered before the workbench is even imported: chats that start us wait for it, and some not long.
"""

from __future__ import annotations

import gc
import logging
import os
from typing import TYPE_CHECKING

import anyio
import click
from starlette.requests import Request

from comfy_mcp.callers import standing_from
from comfy_mcp.jobs import Asset, Job
from comfy_mcp.server.protocol import WorkbenchServer
from comfy_mcp.server.stdio import serve_stdio
from comfy_mcp.tasks import background
from comfy_mcp.tools.registry import Toolbox

if TYPE_CHECKING:
    from comfy_mcp.proxy.links import Links

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
        server = WorkbenchServer(late.tools, late, standing_from(own))
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
        self._links: Links | None = None

    async def open(self) -> None:
        with anyio.move_on_after(_QUIET_SECONDS):
            await self._wanted.wait()
        from comfy_mcp.proxy.links import Links
        from comfy_mcp.settings import load_settings
        from comfy_mcp.signing import Signer
        from comfy_mcp.tools.toolbox import toolbox
        from comfy_mcp.workbench import Workbench

        settings = load_settings()
        logging.getLogger().setLevel(settings.log_level.upper())
        async with Workbench.open(settings) as workbench:
            self._toolbox = toolbox(workbench)
            if settings.public_url is not None:
                # Nothing listens here; that address is of a `serve` on the same data folder, which knows our signature.
                self._links = Links(settings, Signer.from_folder(settings.data))
            # As in serve: what is loaded now stays.
            gc.freeze()
            self.opened.set()
            await anyio.sleep_forever()

    async def stop_what_is_left(self) -> None:
        """The chat is gone, and its calls are cancelled: see that ComfyUI hears of it before we are gone too."""
        if self._toolbox is not None:
            with anyio.CancelScope(shield=True):
                await self._toolbox.workbench.stopped(_GOODBYE_SECONDS)

    def public(self, asset: Asset, request: Request | None) -> str | None:
        """Where a browser finds the picture, when somebody said where."""
        return None if self._links is None else self._links.public(asset, request)

    def form(self, job: Job, owner: str, request: Request | None) -> str | None:
        """Where a browser finds the form, likewise."""
        return None if self._links is None else self._links.form(job, owner, request)

    async def tools(self) -> Toolbox:
        self._wanted.set()
        await self.opened.wait()
        assert self._toolbox is not None
        return self._toolbox
