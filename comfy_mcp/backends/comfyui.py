"""A ComfyUI as a backend: what it has, and one connection pool to it.

Owns the cache of `/object_info`; never a job.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

from comfy_mcp.comfyui import ComfyUI, Timeouts, execute, resume
from comfy_mcp.jobs import Progress, Result, Run
from comfy_mcp.workflows import ObjectInfo, offers

__all__ = ["ComfyUIBackend"]

_FRESH_SECONDS = 60.0


class ComfyUIBackend:
    """One ComfyUI. ``client`` speaks its protocol."""

    def __init__(self, client: ComfyUI) -> None:
        self.client = client
        self._info: ObjectInfo | None = None
        self._read_at = 0.0
        self._reading = anyio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, authorization: str | None = None, gone: float = 120.0
    ) -> AsyncGenerator[ComfyUIBackend]:
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
            if self._info is None or age > _FRESH_SECONDS or (fresh and age > 0):
                self._info = ObjectInfo(await self.client.object_info())
                self._read_at = time.monotonic()
            return self._info

    @property
    def known_info(self) -> ObjectInfo | None:
        """What it offered when it last answered; never asks, so that listing tools needs no ComfyUI."""
        return self._info

    async def probe(self) -> None:
        await self.client.system_stats()
        # It may have been restarted with other nodes and models.
        self._read_at = -_FRESH_SECONDS

    async def refresh(self) -> bool:
        before = self._info
        return await self.object_info() is not before

    def offers(self, names: frozenset[str]) -> frozenset[str]:
        return frozenset() if self._info is None else offers(self._info, names)

    async def run(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        return await execute(self.client, run, on_progress=on_progress)

    async def resume(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        return await resume(self.client, run, on_progress=on_progress)

    async def cancel(self, attempt: str) -> None:
        await self.client.cancel(attempt)

    async def forget(self, attempts: Sequence[str]) -> None:
        await self.client.delete_history(*attempts)

    async def unload(self) -> None:
        await self.client.free()
