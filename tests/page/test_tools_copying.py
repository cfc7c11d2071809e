"""What the form of a tool says, as calls: pasted as they are, they make the picture."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from comfy_mcp.proxy.page.tools.copying import Asked, copies
from comfy_mcp.snippets import PLACEHOLDER
from tests.workbenches import served

SECRET = "a-token-of-sixteen"
ASKED = {
    "only-set": "1",
    "prompt": 'it\'s a "lake" & <b>$HOME</b> 湖',
    "width": "64",
    "height": "128",
    "steps": "2",
    "seed": "7",
    "sampler": "euler",
    "style": "cinematic",
}


async def copied(http: httpx.AsyncClient, template: str = "txt2img", **fields: str) -> dict[str, str]:
    """The calls by their kind, as they stand on the page."""
    answer = await http.post(f"/tools/{template}/copy", data={**ASKED, **fields}, headers={"HX-Request": "true"})
    assert answer.status_code == 200, answer.text
    found = re.findall(r'<pre id="copy-(\w+)"[^>]*>(.*?)</pre>', answer.text, re.DOTALL)
    return {kind: html.unescape(text) for kind, text in found}


async def ran(folder: Path, *command: str) -> str:
    """What a program says that is run as a person would."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    with anyio.fail_after(60):
        done = await anyio.run_process(command, cwd=folder, env={**kept, "PYTHONUTF8": "1"}, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def body_of(command: str) -> dict[str, Any]:
    """The body of a call of curl."""
    (body,) = re.findall(r"-d '(.*)'$", command.replace("'\"'\"'", "\0"), re.DOTALL)
    return json.loads(body.replace("\0", "'"))


async def test_python_and_curl_run_as_they_are_pasted(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path / "data", embedded_url, token=SECRET) as http:
        http.headers["Authorization"] = f"Bearer {SECRET}"
        calls = {kind: text.replace(PLACEHOLDER, SECRET) for kind, text in (await copied(http)).items()}
        (tmp_path / "call.py").write_text(calls["python"], encoding="utf-8")
        assert "saved txt2img-7" in await ran(tmp_path, sys.executable, "call.py")
        (picture,) = tmp_path.glob("txt2img-7*.png")
        assert picture.read_bytes().startswith(b"\x89PNG")
        if shutil.which("curl"):
            (tmp_path / "call.sh").write_text(calls["curl"], encoding="utf-8")
            job = json.loads(await ran(tmp_path, "sh", "call.sh"))
        else:
            job = (await http.post("/api/v1/jobs", json=body_of(calls["curl"]))).json()
        assert job["values"]["prompt"] == ASKED["prompt"] and job["style"] == "cinematic"
        assert (job["values"]["seed"], job["values"]["height"], job["values"]["sampler"]) == (7, 128, "euler")


async def test_every_other_form_makes_the_same_picture(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        calls = await copied(http)
        assert PLACEHOLDER not in "".join(calls.values())
        for kind, path in (("openai", "/v1/images/generations"), ("a1111", "/sdapi/v1/txt2img")):
            assert f"{str(http.base_url).rstrip('/')}{path}" in calls[kind]
            answer = await http.post(path, json=body_of(calls[kind]))
            assert answer.status_code == 200, answer.text
            (job,) = (await http.get("/api/v1/jobs", params={"limit": 1})).json()["jobs"]
            told = {"prompt": ASKED["prompt"], "width": 64, "height": 128, "steps": 2, "seed": 7, "sampler": "euler"}
            assert told.items() <= job["values"].items() and job["style"] == "cinematic"
        call = json.loads(calls["mcp"])
        assert call["method"] == "tools/call" and call["params"]["name"] == "txt2img"
        assert call["params"]["arguments"] == {
            "prompt": ASKED["prompt"],
            "width": 64,
            "height": 128,
            "steps": 2,
            "seed": 7,
            "sampler": "euler",
            "style": "cinematic",
        }


async def test_a_preset_is_named_where_it_can_be_and_written_out_elsewhere(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        around = {"around.prefix": "oil painting of", "_name": "Oils"}
        await http.post("/tools/txt2img/presets", data={**ASKED, **around}, headers={"HX-Request": "true"})
        calls = await copied(http, _preset="Oils")
        assert json.loads(calls["mcp"])["params"]["arguments"]["preset"] == "Oils"
        assert body_of(calls["openai"])["quality"] == "Oils"
        assert body_of(calls["curl"])["values"]["prompt"] == f"oil painting of {ASKED['prompt']}"


@pytest.mark.parametrize("template", ["img2img", "upscale"])
async def test_only_what_a_route_can_serve_is_offered(tmp_path: Path, embedded_url: str, template: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        assert set(await copied(http, template)) == {"mcp", "curl", "python"}


def test_a_chat_is_called_by_the_tool_for_all_templates() -> None:
    (call, *_) = copies(Asked("chat", {"prompt": "Hello?"}, None, "http://127.0.0.1:1", by_name=False))
    assert json.loads(call.text)["params"] == {
        "name": "run_template",
        "arguments": {"template": "chat", "values": {"prompt": "Hello?"}},
    }
