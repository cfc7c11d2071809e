"""A ComfyUI as the workbench sees it: what it has, whether it answers, and one connection pool to it.

Owns the cache of `/object_info` and the knowledge "it is down"; never a job. Used by dispatch and workbench.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from comfy_mcp.comfyui import ComfyUI, Timeouts
from comfy_mcp.errors import BackendUnavailable, WorkbenchError
from comfy_mcp.workflows import ObjectInfo

__all__ = ["Backend"]

_FRESH_SECONDS = 60.0
_PROBE_SECONDS = (0.5, 1.0, 2.0, 5.0)


class Backend:
    """One ComfyUI. ``client`` speaks its protocol."""

    def __init__(self, client: ComfyUI) -> None:
        self.client = client
        self.failure: BackendUnavailable | None = None
        self._info: ObjectInfo | None = None
        self._read_at = 0.0
        self._reading = anyio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, authorization: str | None = None, gone: float = 120.0) -> AsyncGenerator[Backend]:
        """Make the connection pool; nothing is sent yet, so a ComfyUI that is down is no failure."""
        headers = {"Authorization": authorization} if authorization else {}
        async with ComfyUI(url, headers=headers, timeouts=Timeouts(gone=gone)) as client:
            yield cls(client)

    async def object_info(self, *, fresh: bool = False) -> ObjectInfo:
        """What nodes and models it offers, at most a minute old; ``fresh`` asks again.

        Raises:
            BackendUnavailable: it does not answer.
        """
        asked_at = time.monotonic()
        async with self._reading:
            age = asked_at - self._read_at
            if self._info is None or age > _FRESH_SECONDS or self.failure is not None or (fresh and age > 0):
                try:
                    self._info = ObjectInfo(await self.client.object_info())
                except BackendUnavailable as failure:
                    self.failure = failure
                    raise
                self._read_at, self.failure = time.monotonic(), None
            return self._info

    @property
    def known_info(self) -> ObjectInfo | None:
        """What it offered when it last answered; never asks, so that listing tools needs no ComfyUI."""
        return self._info

    async def until_up(self) -> None:
        """Return at once while nothing is known to be wrong; otherwise probe, ever more slowly, until it answers."""
        for attempt in range(2**31):
            if self.failure is None:
                return
            try:
                await self.client.system_stats()
                self.failure = None
            except WorkbenchError:
                await anyio.sleep(_PROBE_SECONDS[min(attempt, len(_PROBE_SECONDS) - 1)])
