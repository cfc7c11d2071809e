"""A served workbench whose presets and settings a test can reach, and what clients do with an answer."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from comfy_mcp.proxy import listening
from comfy_mcp.workbench import Workbench
from tests.workbenches import settings_for

__all__ = ["Front", "Serve", "decoded"]


@dataclass(frozen=True, slots=True)
class Front:
    """The front door as a client has it, and the workbench behind."""

    client: httpx.AsyncClient
    workbench: Workbench

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(f"/sdapi/v1/{path}", json=body, headers=named)

    async def made(self, path: str, body: Any, **headers: str) -> dict[str, Any]:
        """The answer; where there are pictures, with its `info` read."""
        answer = await self.post(path, body, **headers)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        return {**told, "info": json.loads(told["info"])} if "images" in told and "info" in told else told

    async def get(self, path: str, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.client.get(f"/sdapi/v1/{path}", headers=named)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def values(self) -> dict[str, Any]:
        """The values of the newest job, whoever's it is."""
        return (await self.workbench.jobs(limit=1))[0].values


Serve = Callable[..., AbstractAsyncContextManager[Front]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves a workbench over the ComfyUI of an address, with more settings by name."""

    @asynccontextmanager
    async def serving(comfyui: str, **more: Any) -> AsyncGenerator[Front]:
        async with (
            Workbench.open(settings_for(tmp_path, comfyui, **more)) as workbench,
            listening(workbench) as address,
            httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as client,
        ):
            yield Front(client, workbench)

    return serving


@pytest.fixture
async def front(serve: Serve, embedded_url: str) -> AsyncGenerator[Front]:
    async with serve(embedded_url) as found:
        yield found


@pytest.fixture
def b64(picture: bytes) -> str:
    """A picture of 96×64 as it stands in a body."""
    return base64.b64encode(picture).decode()


def decoded(image: str) -> Image.Image:
    """A picture of an answer; fails when it is no base64 of PNG."""
    found = Image.open(io.BytesIO(base64.b64decode(image, validate=True)), formats=["PNG"])
    found.load()
    return found
