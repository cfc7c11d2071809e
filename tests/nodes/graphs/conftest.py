"""The same graphs on the embedded engine and, when COMFYUI_URL names one, in a real ComfyUI with the pack.

`python -m tests.comfyui_server` starts such a ComfyUI, and says which variables to set.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from comfy_mcp.comfyui import ComfyUI
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from tests.nodes.graphs.engines import (
    Ground,
    Routers,
    free_ports,
    listening,
    running_pack_engine,
    running_routers,
)
from tests.nodes.graphs.running import Submitter


@pytest.fixture(scope="session")
def routers(llama_folder: Path) -> Generator[Routers]:
    """One set of servers for both engines, on the ports that a real ComfyUI was told."""
    with running_routers(llama_folder, int(os.environ.get("WORKBENCH_TEST_LLM_PORT") or free_ports())) as running:
        yield running


@pytest.fixture(scope="session")
def pack_url(routers: Routers, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with running_pack_engine(tmp_path_factory.mktemp("engine-with-the-pack"), routers.port) as url:
        yield url


@pytest.fixture(params=["embedded", "real"])
async def ground(request: pytest.FixtureRequest) -> AsyncGenerator[Ground]:
    """Nothing is loaded, and nothing of an earlier graph is cached."""
    url = os.environ.get("COMFYUI_URL")
    if request.param == "real" and not (url and os.environ.get("WORKBENCH_TEST_LLM_PORT")):
        pytest.skip("set COMFYUI_URL and WORKBENCH_TEST_LLM_PORT to run graphs in a real ComfyUI as well")
    routers: Routers = request.getfixturevalue("routers")
    url = url if request.param == "real" and url else request.getfixturevalue("pack_url")
    for router in (routers.llm, routers.held):
        async with Client.open(Endpoint("router", router.url, "llama-cpp")) as client:
            await client.unload_all()
    async with listening(routers.port + 1) as scripted:
        yield Ground(url, routers.llm, routers.held, scripted)


@pytest.fixture
async def comfy(ground: Ground) -> AsyncGenerator[ComfyUI]:
    async with ComfyUI(ground.url) as client:
        await client.free()
        yield client


@pytest.fixture
async def submit(comfy: ComfyUI) -> AsyncGenerator[Submitter]:
    submitter = Submitter(comfy)
    yield submitter
    await submitter.end()
