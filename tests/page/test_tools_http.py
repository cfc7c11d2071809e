"""The tools by HTTP: what is refused and where it is told, whose everything is, presets, locks and rights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from comfy_mcp.callers import Right
from comfy_mcp.jobs import Job
from comfy_mcp.proxy import listening
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from comfy_mcp.workflows import shipped_folder
from tests.texts import NOWHERE, text_server
from tests.workbenches import served, settings_for

HTMX = {"HX-Request": "true"}
ASKED = {"only-set": "1", "prompt": "a lake", "width": "64", "height": "64", "steps": "2", "seed": "-1"}


@asynccontextmanager
async def opened(data: Path, comfyui: str, **more: Any) -> AsyncGenerator[tuple[Workbench, httpx.AsyncClient]]:
    """A workbench with a client of its page."""
    async with (
        Workbench.open(settings_for(data, comfyui, **more)) as workbench,
        listening(workbench) as address,
        httpx.AsyncClient(base_url=address, trust_env=False, timeout=30, headers=HTMX) as http,
    ):
        yield workbench, http


async def made(workbench: Workbench, http: httpx.AsyncClient, **fields: str) -> Job:
    """The job of a run, when it has ended."""
    answer = await http.post("/tools/txt2img/run", data={**ASKED, **fields})
    assert answer.status_code == 200, answer.text
    (job,) = set(re.findall(r"/tools/txt2img/runs/([0-9a-f]{32})/events", answer.text)) or {""}
    return await workbench.wait(job or (await workbench.jobs(limit=1))[0].id, 20)


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"steps": "many"}, "steps"),
        ({"steps": "900"}, "steps"),
        ({"prompt": ""}, "prompt"),
        ({"seed": "1e999"}, "seed"),
        ({"checkpoint": "nobody-has-it.safetensors"}, "checkpoint"),
        ({"width": "1" * 40}, "width"),
    ],
)
async def test_what_is_refused_is_told_at_its_field(
    tmp_path: Path, embedded_url: str, fields: dict[str, str], parameter: str
) -> None:
    async with served(tmp_path, embedded_url) as http:
        answer = await http.post("/tools/txt2img/run", data={**ASKED, **fields}, headers=HTMX)
        assert answer.status_code == 422 and answer.text == ""
        assert json.loads(answer.headers["hx-trigger"])["refused"]["parameter"] == parameter
        # Without a script it is a page.
        whole = await http.post("/tools/txt2img/run", data={**ASKED, **fields})
        assert whole.status_code == 422 and "<!doctype html>" in whole.text


async def test_nothing_that_is_sent_is_a_defect(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        nothing, lost = "0" * 32, {**ASKED, "_preset": "lost"}
        for path in (
            *("/tools/nothing", f"/tools/txt2img?job={nothing}", "/tools/txt2img?image=x", "/tools/txt2img?preset=x"),
            *(f"/tools/txt2img/runs/{nothing}", f"/tools/txt2img/runs/{nothing}/events", "/tools/txt2img/preview"),
            *("/tools/nothing/preview",),
        ):
            assert (await http.get(path)).status_code == 404, path
        for path, fields, status in (
            ("/tools/nothing/run", ASKED, 404),
            ("/tools/txt2img/run", lost, 404),
            ("/tools/txt2img/run", {**ASKED, "style": "nothing"}, 404),
            (f"/tools/txt2img/runs/{nothing}/cancel", {}, 404),
            ("/tools/txt2img/form", {**ASKED, "preset": "lost"}, 404),
            ("/tools/txt2img/presets", {**ASKED, "_name": "a/b"}, 422),
            ("/tools/txt2img/presets", {**ASKED, "_name": "long", "around.prefix": "x" * 3000}, 422),
            ("/tools/txt2img/presets/default", {"name": "lost"}, 404),
            ("/tools/txt2img/copy", {**ASKED, "steps": "many"}, 422),
            ("/tools/-/locks/nothing", ASKED, 404),
        ):
            answer = await http.post(path, data=fields, headers=HTMX)
            assert answer.status_code == status, (path, answer.status_code, answer.text)
        assert (await http.post("/tools/txt2img/run", json=ASKED)).status_code == 415


async def test_cards_tell_what_is_missing_and_show_a_preview(tmp_path: Path, embedded_url: str) -> None:
    own = tmp_path / "templates" / "mine"
    shutil.copytree(shipped_folder() / "txt2img", own)
    (own / "preview.webp").write_bytes(b"RIFF\x10\x00\x00\x00WEBPVP8 ")
    async with served(tmp_path, embedded_url) as http:
        page = (await http.get("/tools")).text
        assert "comfy-workbench install-nodes" in page and "No ComfyUI answers" not in page
        (address,) = re.findall(r"/tools/mine/preview\?v=\d+", page)
        assert (await http.get(address)).headers["content-type"] == "image/webp"
        assert page.index("/tools/txt2img") < page.index("Cannot run yet") < page.index("/tools/caption_and_judge")
        assert page.count("Cannot run yet") == 1 and page.count("comfy-workbench install-nodes") == 1
    async with served(tmp_path, NOWHERE) as http:
        assert "No ComfyUI answers" in (await http.get("/tools")).text
        # Found by what it is called in the reader's language.
        assert 'data-text="文生图' in (await http.get("/tools", headers={"Accept-Language": "zh"})).text
        lost = await http.get("/tools/txt2img", headers={"Accept-Language": "zh"})
        assert lost.status_code == 503 and "<h1>文生图</h1>" in lost.text
        assert 'href="/settings"' in lost.text and 'id="again"' in lost.text and 'id="form"' not in lost.text
        assert (await http.get("/tools/nothing")).status_code == 404


async def test_everybody_has_their_own_runs_presets_and_pictures(tmp_path: Path, embedded_url: str) -> None:
    async with opened(tmp_path, embedded_url, forwarded_users=True) as (workbench, http):
        ann, bob = ({"X-User-Id": name} for name in ("ann", "bob"))
        await http.post("/tools/txt2img/presets", data={**ASKED, "_name": "hers"}, headers=ann)
        await http.post("/tools/txt2img/run", data={**ASKED, "style": "cinematic"}, headers=ann)
        (job,) = await workbench.jobs()
        (asset,) = (await workbench.wait(job.id, 20)).assets
        small = f"/gallery/{asset.id}/thumbnail"
        hers = (await http.get(f"/tools/txt2img?run={job.id}", headers=ann)).text
        # Her picture is the panel's, and stands for the style that she made it in.
        assert "hers" in hers and f"/api/v1/assets/{asset.id}" in hers and f'src="{small}"' in hers
        assert (await http.get(small, headers=ann)).status_code == 200
        assert small in (await http.get("/tools", headers=ann)).text
        his = (await http.get("/tools/txt2img", headers=bob)).text
        assert (
            "hers" not in his and asset.id not in his and asset.id not in (await http.get("/tools", headers=bob)).text
        )
        for path in (f"/tools/txt2img?run={job.id}", f"/tools/txt2img/runs/{job.id}", f"{small}"):
            assert (await http.get(path, headers=bob)).status_code == 404, path
        cancel = await http.post(f"/tools/txt2img/runs/{job.id}/cancel", headers={**bob, **HTMX}, data={})
        assert cancel.status_code == 404


async def test_a_preset_goes_around_the_prompt_and_counts_where_none_is_named(
    tmp_path: Path, embedded_url: str
) -> None:
    async with opened(tmp_path, embedded_url) as (workbench, http):
        around = {"around.prefix": "oil painting of", "around.negative": "text", "_name": "Oils", "_default": "on"}
        await http.post("/tools/txt2img/presets", data={**ASKED, "steps": "3", "style": "cinematic", **around})
        told = {**ASKED, "style": "cinematic"}
        asked = await http.post("/tools/txt2img/presets/saving", data=told, headers={"Accept-Language": "zh"})
        assert "<dt>步数</dt>" in asked.text and "<dd>电影感</dd>" in asked.text
        preset = (await workbench.presets.of("txt2img"))["Oils"]
        assert preset.default and preset.style == "cinematic" and preset.values["steps"] == 3
        assert "seed" not in preset.values and "prompt" not in preset.values
        page = (await http.get("/tools/txt2img")).text
        assert 'name="_preset" form="form" value="Oils"' in page and 'value="cinematic" checked' in page
        # The form counts, and only what is around the prompt comes from the preset.
        job = await made(workbench, http, _preset="Oils", steps="2", negative="frogs")
        texts = [content["inputs"].get("text") for content in job.bound.graph.values()]
        assert "oil painting of a lake" in texts and "frogs, text" in texts
        assert job.values["steps"] == 2 and job.style is None and job.values["prompt"] == "a lake"
        plain = await made(workbench, http)
        assert "a lake" in [content["inputs"].get("text") for content in plain.bound.graph.values()]
        chat = await http.post("/sdapi/v1/txt2img", json={"prompt": "a lake", "width": 64, "height": 64})
        assert (
            json.loads(chat.json()["info"])["sd_model_name"] and (await workbench.jobs(limit=1))[0].values["steps"] == 3
        )
        kept = await http.post("/tools/txt2img/presets/drop", data={"name": "Oils", "_preset": "Oils"})
        assert "No presets are left" in kept.text and await workbench.presets.of("txt2img") == {}


async def test_an_administrator_locks_a_parameter_for_everybody(
    tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(tmp_path / "settings.toml"))
    async with opened(tmp_path, embedded_url) as (workbench, http):
        locks = await http.post("/tools/-/locks/txt2img", data={**ASKED, "steps": "3", "lock.steps": "on"})
        assert locks.status_code == 200 and workbench.settings.locked == {"txt2img": {"steps": 3}}
        page = (await http.get("/tools/txt2img")).text
        assert "Fixed by an administrator" in page and 'name="steps"' not in page
        job = await made(workbench, http, steps="5")
        assert job.values["steps"] == 3 and "administrator" in job.warnings[0]
        await http.post("/tools/-/locks/txt2img", data=ASKED)
        assert workbench.settings.locked == {}


async def test_only_an_administrator_may_lock(tmp_path: Path, embedded_url: str) -> None:
    async with opened(tmp_path, embedded_url) as (workbench, http):
        token = await workbench.tokens.add(Token("tablet", rights=frozenset({Right.MAKE})))
        http.headers["Authorization"] = f"Bearer {token}"
        for path in ("/tools/-/locking/txt2img", "/tools/-/locks/txt2img"):
            assert (await http.post(path, data={**ASKED, "lock.steps": "on"})).status_code == 403
        page = (await http.get("/tools/txt2img")).text
        assert "/tools/-/" not in page and workbench.settings.locked == {}


async def test_without_a_script_nothing_is_shown_that_needs_one(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        page = (await http.get("/tools/txt2img")).text
        for name in ("copy", "save", "lock"):
            (classes,) = re.findall(rf'id="{name}" class="([^"]*)"', page)
            assert "with-script" in classes
        assert 'id="load" class="without-script"' in page
        # The policy forbids style attributes, and htmx would set them.
        (config,) = re.findall(r"name=\"htmx-config\" content='([^']*)'", page)
        assert "style" not in json.loads(config)["attributesToSettle"]


async def test_a_chat_is_a_tool_where_there_is_a_model(tmp_path: Path) -> None:
    async with text_server() as script, opened(tmp_path, NOWHERE, llm_url=script.url) as (workbench, http):
        assert 'href="/tools/chat"' in (await http.get("/tools")).text
        page = (await http.get("/tools/chat")).text
        assert "llm/alpha" in page and 'id="presets"' not in page
        await http.post(
            "/tools/chat/run", data={"only-set": "1", "prompt": "Hello?", "model": "llm/beta", "seed": "-1"}
        )
        (job,) = await workbench.jobs()
        await workbench.wait(job.id, 20)
        panel = await http.get(f"/tools/chat/runs/{job.id}")
        assert "beta on Hello?" in panel.text


async def test_a_run_tells_why_it_waits(tmp_path: Path, embedded_url: str) -> None:
    async with opened(tmp_path, embedded_url) as (workbench, http):
        await workbench.set_mode("comfyui", Mode.PAUSED)
        answer = await http.post("/tools/txt2img/run", data=ASKED)
        assert "It waits: comfyui is paused." in answer.text and answer.headers["hx-push-url"].startswith("/tools/")
        (job,) = await workbench.jobs()
        async with http.stream("GET", f"/tools/txt2img/runs/{job.id}/events") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "event: progress"
            assert json.loads((await anext(lines)).removeprefix("data: "))["said"].startswith("It waits")
        stopped = await http.post(f"/tools/txt2img/runs/{job.id}/cancel", data={})
        assert "You stopped it." in stopped.text and "data-events" not in stopped.text
        # There is nothing to see of it among the runs before.
        assert "<li>" not in (await http.get("/tools/txt2img/runs")).text


async def test_models_that_are_loaded_are_marked(tmp_path: Path, embedded_url: str) -> None:
    async with opened(tmp_path, embedded_url) as (workbench, http):
        assert "data-loaded>" not in (await http.get("/tools/txt2img")).text
        job = await made(workbench, http)
        marked = f"data-loaded>{job.values['checkpoint']}"
        # The queue is looked at once a second at most.
        with anyio.fail_after(10):
            while marked not in (await http.get("/tools/txt2img")).text:
                await anyio.sleep(0.1)
