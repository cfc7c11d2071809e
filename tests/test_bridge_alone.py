"""The bridge alone: the wheel with its extra `bridge` in an empty environment, where nothing else of ours can help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from tests.bridge.servers import chunk, json_answer, scripted, sse, stream
from tests.llama.servers import LlamaServer

ROOT = Path(__file__).parent.parent
OURS = {"comfyui-workbench", "httpx"}
THEIRS = {"anyio", "certifi", "h11", "httpcore", "idna"}
SOMETIMES = {"sniffio", "typing-extensions"}  # what anyio needs depends on its version and on Python's
NO_INDEX = r"No matching distribution|Connection|Max retries|timed out|Temporary failure|Name or service"

IMPORT_ALL = """
import importlib, json, pkgutil
import llm_bridge
for name in llm_bridge.__all__:
    getattr(llm_bridge, name)
names = [each.name for each in pkgutil.walk_packages(llm_bridge.__path__, "llm_bridge.")]
for name in names:
    importlib.import_module(name)
print(json.dumps({"file": llm_bridge.__file__, "names": names}))
"""

CHAT = """
import asyncio, json, sys
from llm_bridge.chat import ChatRequest, Sampling, Text
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.messages import Message

async def main(url, model):
    request = ChatRequest(model, (Message.user("Hi"),), Sampling(max_tokens=8, seed=1))
    async with Client.open(Endpoint("box", url)) as client:
        async with client.stream(request) as events:
            pieces = [event.text async for event in events if isinstance(event, Text)]
        kind = (await client.dialect()).kind
    print(json.dumps({"kind": kind, "pieces": pieces, "text": events.reply.text, "finish": events.reply.finish}))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with nothing but the installed wheel and what it asked for."""
    folder = tmp_path_factory.mktemp("alone")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    done = pip(python, "install", "--retries", "1", "--no-compile", f"{wheel}[bridge]")
    if done.returncode != 0 and re.search(NO_INDEX, done.stderr):
        pytest.skip(f"pip can install nothing here, so this proves nothing: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return python


def pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The environment is so empty that it has no pip either."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def told_by(python: Path, program: str, *arguments: str) -> Any:
    """The JSON that a program prints there. It sees neither this checkout nor a setting of whoever runs the tests."""
    command = [str(python), "-I", "-W", "error", "-c", program, *arguments]
    done = subprocess.run(command, cwd=python.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def chat_with(python: Path, url: str, model: str) -> Any:
    return await anyio.to_thread.run_sync(told_by, python, CHAT, url, model)


def test_it_brings_httpx_and_nothing_beyond_what_that_needs(alone: Path) -> None:
    listed = json.loads(pip(alone, "list", "--format", "json").stdout)
    names = {package["name"].lower().replace("_", "-") for package in listed}
    assert names >= OURS | THEIRS
    assert names <= OURS | THEIRS | SOMETIMES


def test_every_module_of_it_is_imported_without_anything_optional(alone: Path) -> None:
    told = told_by(alone, IMPORT_ALL)
    assert Path(told["file"]).is_relative_to(alone.parent.parent)
    sources = (ROOT / "llm_bridge").rglob("*.py")
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in sources}
    assert {"llm_bridge", *told["names"]} == modules


async def test_it_finds_out_what_answers_and_streams_a_chat(alone: Path) -> None:
    answer = stream(sse(chunk("Hel"), done=False), sse(chunk("lo"), chunk(finish="stop")))
    async with scripted("POST /v1/chat/completions", answer) as server:
        server.on("GET /v1/models", json_answer({"data": [{"id": "m"}]}))
        told = await chat_with(alone, server.url, "m")
    assert told == {"kind": "openai", "pieces": ["Hel", "lo"], "text": "Hello", "finish": "stop"}


async def test_it_streams_a_chat_with_a_real_server(alone: Path, llama_single: LlamaServer) -> None:
    told = await chat_with(alone, llama_single.url, "tiny-a")
    assert told["kind"] == "llama-cpp"
    assert len(told["pieces"]) > 1
    assert "".join(told["pieces"]) == told["text"]
