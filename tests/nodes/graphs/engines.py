"""What graphs with the nodes run on: an engine with the pack, and the LLM servers that its nodes know.

The servers have four ports in a row, so that a ComfyUI that was started before can know them: `llm` is a real router
with three tiny models, `scripted` a server in the test's own process, `held` a router whose tiny-a never ends loading,
and on the last port, `away`, nobody listens.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from comfy_mcp.node_pack import lay_out
from tests.bridge.servers import Script, json_answer
from tests.embedded.packs import written
from tests.engines import running_engine
from tests.llama.servers import LlamaServer, running_router
from tests.texts import CHAT, answered

__all__ = [
    "KEY",
    "MODELS",
    "Ground",
    "Routers",
    "environment",
    "free_ports",
    "lay_out_packs",
    "listening",
    "running_pack_engine",
    "running_routers",
]

KEY = "canary-d41d8cd98f00b204"
"""The key of `scripted`, which nobody but that server may see."""

MODELS = ("judge-70b", "eyes-7b", "words-1b")
"""What `scripted` offers."""

_PORTS = 4


@dataclass(frozen=True, slots=True)
class Routers:
    """``port`` is the first of the ports."""

    port: int
    llm: LlamaServer
    held: LlamaServer


@dataclass(frozen=True, slots=True)
class Ground:
    """``url`` is the engine's."""

    url: str
    llm: LlamaServer
    held: LlamaServer
    scripted: Script


def environment(folder: Path, port: int) -> Mapping[str, str]:
    """What the nodes are to find when they start; the settings file is written into the folder."""
    settings = folder / "llm-servers-of-the-tests.toml"
    servers = (("scripted", port + 1, 'key_env = "GRAPHS_KEY"\n'), ("held", port + 2, ""), ("away", port + 3, ""))
    settings.write_text(
        "".join(
            f'[[llm_servers]]\nname = "{name}"\nurl = "http://127.0.0.1:{number}"\n{more}'
            for name, number, more in servers
        )
    )
    return {
        "WORKBENCH_LLM_URL": f"http://127.0.0.1:{port}",
        "WORKBENCH_SETTINGS": str(settings),
        "GRAPHS_KEY": KEY,
    }


def lay_out_packs(custom_nodes: Path) -> tuple[Path, Path]:
    """The pack, and beside it the small pack whose nodes show what others made."""
    lay_out(custom_nodes / "comfyui-workbench")
    shows = custom_nodes / "pack-of-the-tests"
    return custom_nodes / "comfyui-workbench", shows if shows.exists() else written(shows)


@contextmanager
def running_pack_engine(folder: Path, port: int) -> Generator[str]:
    """The address of an embedded engine that has loaded the packs as ComfyUI would."""
    packs = [option for pack in lay_out_packs(folder / "custom_nodes") for option in ("--pack", str(pack))]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder, port).items():
            patch.setenv(name, value)
        with running_engine("--step-delay", "0.1", *packs) as engine:
            yield engine.url


@contextmanager
def running_routers(llama: Path, port: int) -> Generator[Routers]:
    with (
        running_router(llama, port=port) as llm,
        running_router(llama, models=("tiny-a", "tiny-b"), held="tiny-a", port=port + 2) as held,
    ):
        yield Routers(port, llm, held)


@asynccontextmanager
async def listening(port: int) -> AsyncGenerator[Script]:
    """The scripted server on this port, on the test's own event loop. Its models answer what they were asked."""
    script, serving = Script(), set[asyncio.Task[None]]()
    script.on("GET /v1/models", json_answer({"data": [{"id": model} for model in MODELS]}))
    script.on(CHAT, answered)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(script.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=2**24)
    try:
        yield script
    finally:
        # asyncio drops a connection that it is just accepting when the server closes, without closing it.
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
        await asyncio.sleep(0)
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def free_ports() -> int:
    """The first of four ports in a row on which nobody listens.

    Below those that connections get for their own end: one of them would hold a port between two tests.
    """
    while True:
        first = random.randrange(20_000, 32_000)
        if all(_is_free(first + offset) for offset in range(_PORTS)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
        return True
