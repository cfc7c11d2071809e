"""Two workbenches and every client library, opened once for all tests of this folder, on one event loop."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.clients.process import CLIENTS, Chat, started
from tests.workbenches import served

COPY = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
}
MANIFEST = """
title = "Copy"
description = "The same picture again."
[parameters.image]
type = "image"
bind = "LoadImage#1.image"
"""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for all tests here, so that what takes a second to start is started once."""
    return "asyncio"


@pytest.fixture(scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory, embedded_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A workbench with a template that gives back the picture it gets."""
    data = tmp_path_factory.mktemp("quick")
    _add_copy(data)
    # As much as any answer may hold: the most that a client can be given.
    async with served(data, embedded_url, inline_bytes=700_000) as client:
        yield client


def _add_copy(data: Path) -> None:
    folder = data / "templates" / "copy"
    folder.mkdir(parents=True)
    (folder / "workflow.json").write_text(json.dumps(COPY))
    (folder / "manifest.toml").write_text(MANIFEST)


@pytest.fixture(scope="session")
async def slow(tmp_path_factory: pytest.TempPathFactory, slow_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A workbench whose pictures take a tenth of a second a step."""
    async with served(tmp_path_factory.mktemp("slow"), slow_url) as client:
        yield client


@pytest.fixture(scope="session")
async def processes() -> AsyncGenerator[tuple[AsyncExitStack, dict[str, Chat]]]:
    """The client processes that were needed so far, by library."""
    async with AsyncExitStack() as stack:
        yield stack, {}


@pytest.fixture(params=CLIENTS)
async def chat(request: pytest.FixtureRequest, processes: tuple[AsyncExitStack, dict[str, Chat]]) -> Chat:
    """Each client in each era that it speaks, not connected."""
    kind = CLIENTS[request.param]
    stack, running = processes
    if kind.library not in running:
        running[kind.library] = await stack.enter_async_context(started(kind))
    running[kind.library].kind = kind
    return running[kind.library]
