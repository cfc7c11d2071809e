"""What a workbench does by itself: be elected, run jobs, and take up changes of the settings file.

Owns the lock that makes one process the dispatcher of a data folder (a lock of the operating system, so it ends with
the process, however that ends).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
from filelock import FileLock, Timeout

from comfy_mcp.backends import Backend, BackendConfig, ComfyUIBackend, LLMBackend
from comfy_mcp.dispatch import Limits
from comfy_mcp.errors import SettingsError
from comfy_mcp.settings import Settings, reloaded, settings_file

__all__ = ["backends_of", "elected", "opener", "run_limits", "watch_settings"]

log = logging.getLogger(__name__)

_ELECTION_SECONDS = 1.0
_RELOAD_SECONDS = 1.0
_SETTLE_SECONDS = 0.2
_TAKEOVERS = 5
"""The one job that runs is there whenever the workbench ends, mostly without being the cause."""


def backends_of(settings: Settings) -> list[BackendConfig]:
    """The backends that the settings name."""
    return [*_comfyuis(settings), *_llm_servers(settings)]


def _comfyuis(settings: Settings) -> list[BackendConfig]:
    # Who set up nothing but language models may have none.
    assumed = "comfyui_url" not in settings.model_fields_set and not settings.backends and bool(_llm_servers(settings))
    return [
        BackendConfig(
            name=told.name,
            url=str(told.url).rstrip("/"),
            concurrency=told.concurrency,
            tags=told.tags,
            card=told.card,
            authorization=told.authorization.get_secret_value() if told.authorization else None,
            assumed=assumed,
        )
        for told in settings.all_backends
    ]


def _llm_servers(settings: Settings) -> list[BackendConfig]:
    return [
        BackendConfig(told.name, told.address, told.concurrency, told.tags, told.card, endpoint=told.endpoint)
        for told in settings.all_llm_servers
    ]


def opener(settings: Settings) -> Callable[[BackendConfig], AbstractAsyncContextManager[Backend]]:
    """How a backend of the settings is reached."""

    @asynccontextmanager
    async def opened(config: BackendConfig) -> AsyncGenerator[Backend]:
        if config.endpoint is not None:
            async with LLMBackend.open(config.endpoint) as server:
                yield server
            return
        secret, gone = config.authorization, settings.backend_gone
        async with ComfyUIBackend.open(config.url, authorization=secret, gone=gone) as backend:
            yield backend

    return opened


def run_limits(settings: Settings) -> Limits:
    """What bounds the work of the dispatcher."""
    return Limits(
        settings.job_timeout,
        settings.max_attempts,
        takeovers=_TAKEOVERS * settings.max_attempts,
        guests=settings.max_queue,
        guests_per_owner=settings.max_queue_per_owner,
        patience=settings.backend_gone,
    )


@asynccontextmanager
async def elected(data: Path) -> AsyncGenerator[None]:
    """Wait to be the one dispatcher of this data folder, and be it until the end of the block."""
    lock = FileLock(data / "dispatcher.lock", thread_local=False)
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            await anyio.sleep(_ELECTION_SECONDS)
    try:
        yield
    finally:
        lock.release()


async def watch_settings(
    before: Settings, current: Callable[[], Settings], apply: Callable[[Settings], Awaitable[object]]
) -> None:
    """Look at the settings file once a second, and hand over the settings when it changed them.

    ``before`` is what the file said when the workbench was opened. A file that cannot be used is told of in the log,
    once, and changes nothing.
    """
    path, seen = anyio.Path(settings_file()), None
    while True:
        await anyio.sleep(_RELOAD_SECONDS)
        now = await _stamp(path)
        if now == seen:
            continue
        await anyio.sleep(_SETTLE_SECONDS)
        if await _stamp(path) != now:
            # Somebody is still writing it; half a file would be other settings.
            continue
        seen = now
        try:
            settings, before = reloaded(current(), before)
        except SettingsError as failure:
            log.error("The settings file changed and cannot be used; the settings stay as they were. %s", failure)
            continue
        if settings != current():
            await apply(settings)


async def _stamp(path: anyio.Path) -> tuple[int, int] | None:
    try:
        told = await path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size
