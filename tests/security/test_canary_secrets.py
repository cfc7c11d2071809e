"""A secret in every place that takes one is in no log, answer, picture or file: whatever is asked, and fails."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import httpx
import pytest
from anyio.streams.text import TextReceiveStream

from tests.bridge.servers import Received, Script, json_answer
from tests.security.bodies import BODIES, PNG
from tests.texts import CHAT, answered, text_server

MARK = "CANARY"
"""Nothing by which a key could be known: what is hidden, is hidden because it was told to be."""
TOKEN = f"{MARK}-token-of-the-workbench"
SECRETS = {
    "WORKBENCH_TOKEN": TOKEN,
    "WORKBENCH_COMFYUI_AUTHORIZATION": f"Bearer {MARK}-of-comfyui",
    "KEY_OF_A_MODEL": f"{MARK}-of-a-model",
    "OPENAI_API_KEY": f"{MARK}-of-openai",
    "AWS_ACCESS_KEY_ID": f"{MARK}-of-a-bucket",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}-secret-of-a-bucket",
    "AWS_SESSION_TOKEN": f"{MARK}-token-of-a-bucket",
}
SETTINGS = """
[[backends]]
name = "locked"
url = "{comfyui}"
authorization = "Bearer CANARY-of-a-backend"

[[backends]]
name = "gone"
url = "http://127.0.0.1:9"
authorization = "Bearer CANARY-of-a-backend-that-is-gone"

[[llm_servers]]
name = "llm"
url = "{llm}"
key_env = "KEY_OF_A_MODEL"
"""
WRONG = (
    *("Bearer CANARY-of-somebody-else", "Basic Q0FOQVJZLW9mLUE6Q0FOQVJZLW9mLUI=", "CANARY", f"Bearer {TOKEN}x"),
    *(f"Bearer  {TOKEN} {TOKEN}", f"Digest {TOKEN}"),
)


@dataclass
class Serving:
    """A workbench as a process: what it says, and what it answered."""

    address: str = ""
    said: list[str] = field(default_factory=list[str])
    answers: list[str] = field(default_factory=list[str])

    async def ask(self, client: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
        answer = await client.request(method, self.address + path, **more)
        self.answers.append(f"{method} {path.partition('?')[0]}\n{answer.headers}\n{answer.text}")
        return answer


def told_off(received: Received) -> Any:
    """As OpenAI answers to a key that it does not know: with the key."""
    key = received.headers["authorization"].removeprefix("Bearer ")
    return json_answer({"error": {"message": f"Incorrect API key provided: {key}.", "type": "invalid_request"}}, 401)


@asynccontextmanager
async def serving(folder: Path, comfyui: str, llm: Script) -> AsyncGenerator[Serving]:
    settings, running = folder / "settings.toml", Serving()
    settings.write_text(SETTINGS.format(comfyui=comfyui, llm=llm.url))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")},
        **SECRETS,
        "WORKBENCH_SETTINGS": str(settings),
        "WORKBENCH_DATA": str(folder / "data"),
        "WORKBENCH_LOG_LEVEL": "debug",
        "WORKBENCH_COMFYUI_ROUTES": "true",
        "WORKBENCH_FETCH_URLS": "true",
        "WORKBENCH_ALLOWED_HOSTS": f"{MARK}.example",
    }
    command = [sys.executable, "-m", "comfy_mcp", "serve", "--port", "0"]
    up = anyio.Event()

    async def heard(stream: Any) -> None:
        async for text in TextReceiveStream(stream, errors="replace"):
            running.said.append(text)
            if "chats: " in text:
                running.address = text.partition("chats: ")[2].partition("/mcp")[0]
                up.set()

    async with (
        await anyio.open_process(command, env=environment, stdout=PIPE, stderr=PIPE) as process,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(heard, process.stdout)
        tasks.start_soon(heard, process.stderr)
        with anyio.fail_after(20):
            await up.wait()
        yield running
        process.terminate()
        with anyio.fail_after(10):
            await process.wait()


async def every_door(running: Serving, client: httpx.AsyncClient) -> None:
    """What works, what is refused and what fails, through each of them."""
    for endpoint, body in BODIES.items():
        method, path = endpoint.split(" ")
        await running.ask(client, method, path, json=body)
        await running.ask(client, method, path, content=b'{"prompt": NaN, "token": ')
        await running.ask(client, method, path, json={"model": "llm/beta", "template": "none", "messages": [None]})
    failing = {"model": "llm/beta", "messages": [{"role": "user", "content": "Who are you?"}]}
    for stream in (False, True):
        await running.ask(client, "POST", "/v1/chat/completions", json={**failing, "stream": stream})
    compared = {"models": ["llm/alpha", "llm/beta"], "prompts": ["Who are you?"]}
    plan = (await running.ask(client, "POST", "/api/v1/compare", json=compared)).json()["id"]
    await running.ask(client, "GET", f"/api/v1/compare/{plan}/events")
    for kind in ("md", "csv", "json", "html"):
        await running.ask(client, "GET", f"/api/v1/compare/{plan}/report.{kind}")
    await running.ask(client, "POST", "/api/v1/assets", content=PNG, headers={"Content-Type": "image/png"})
    for path in ("backends", "jobs", "queue", "templates", "templates/txt2img", "llm/models", "jobs/none", "compare"):
        await running.ask(client, "GET", f"/api/v1/{path}")
    for path in ("/healthz", "/openapi.json", "/v1/models", "/sdapi/v1/cmd-flags", "/sdapi/v1/options", "/none"):
        await running.ask(client, "GET", path)
    for path in ("/comfyui/system_stats", "/comfyui/object_info/KSampler", "/comfyui/history"):
        await running.ask(client, "GET", path)


async def wrong_keys(running: Serving, client: httpx.AsyncClient) -> None:
    """Secrets where none belongs, and secrets that are none of ours."""
    for wrong in WRONG:
        answer = await running.ask(client, "GET", "/api/v1/jobs", headers={"Authorization": wrong})
        assert answer.status_code == 401
    await running.ask(client, "GET", f"/api/v1/jobs?token={TOKEN}", headers={"Authorization": ""})
    await running.ask(client, "GET", "/api/v1/jobs", headers={"Host": f"{MARK}-host"})
    await running.ask(client, "GET", "/api/v1/jobs", headers={"Origin": f"http://{MARK}-origin"})
    await running.ask(client, "GET", "/api/v1/jobs", headers={"X-Api-Key": TOKEN, "Cookie": f"token={TOKEN}"})


@pytest.fixture
async def llm() -> AsyncGenerator[Script]:
    def by_model(received: Received) -> Any:
        return told_off(received) if received.json["model"] == "beta" else answered(received)

    async with text_server() as script:
        script.on(CHAT, by_model)
        yield script


async def test_no_secret_is_told_or_kept(tmp_path: Path, embedded_url: str, llm: Script) -> None:
    async with (
        serving(tmp_path, embedded_url, llm) as running,
        httpx.AsyncClient(trust_env=False, timeout=60, headers={"Authorization": f"Bearer {TOKEN}"}) as client,
    ):
        await every_door(running, client)
        await wrong_keys(running, client)
    # They were in use, or nothing of this says anything.
    assert SECRETS["KEY_OF_A_MODEL"] in {each.headers.get("authorization", "")[7:] for each in llm.received}
    assert any('"b64_json"' in answer for answer in running.answers)
    leaks = [answer[:1_000] for answer in running.answers if MARK in answer]
    assert not leaks, "\n\n".join(leaks)
    logged = [line for text in running.said for line in text.splitlines() if MARK in line]
    assert any(line.startswith("DEBUG ") for text in running.said for line in text.splitlines())
    assert not logged, "\n".join(logged[:20])
    kept = [
        path.name for path in (tmp_path / "data").rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()
    ]
    assert not kept
