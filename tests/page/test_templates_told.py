"""What the section of templates says: titles in the reader's language, what is missing, drafts, tries, previews."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncGenerator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_mcp.workflows import shipped_folder
from tests.workbenches import served

CHINESE = {"Accept-Language": "zh"}


def shipped(name: str) -> Any:
    return json.loads((shipped_folder() / name / "workflow.json").read_text())


def own(folder: Path) -> Path:
    """A template of one's own, to be there before the workbench is."""
    return Path(shutil.copytree(shipped_folder() / "txt2img", folder / "templates/mine"))


@pytest.fixture
async def page(tmp_path: Path, embedded_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, embedded_url) as client:
        yield client


async def brought(page: httpx.AsyncClient, workflow: Any, name: str = "a lake.json") -> httpx.Response:
    return await page.post("/templates", files={"file": (name, json.dumps(workflow).encode())})


async def test_shipped_templates_are_called_alike_everywhere_in_chinese(page: httpx.AsyncClient) -> None:
    listed = (await page.get("/templates", headers=CHINESE)).text
    assert "文生图</a>" in listed and "Text to image" not in listed
    shown = (await page.get("/templates/txt2img", headers=CHINESE)).text
    assert "<h1>文生图</h1>" in shown and "Text to image" not in shown and "<strong>Steps" not in shown


@pytest.mark.parametrize("name", ["caption_and_judge", "expand_and_paint", "judge_models"])
async def test_a_workflow_with_our_own_nodes_becomes_a_draft_that_says_where_they_are_from(
    page: httpx.AsyncClient, name: str
) -> None:
    graph = shipped(name)
    answer = await brought(page, graph)
    assert answer.status_code == 303, answer.text
    shown = (await page.get(answer.headers["location"])).text
    assert "comfy-workbench install-nodes COMFYUI_FOLDER" in shown and "Install Missing Custom Nodes" not in shown
    assert shown.count('class="node') >= len(graph) and "has all that it needs" not in shown
    place = re.search(r'value="(Workbench[^"]+)"', shown)
    assert place is not None
    refused = await page.post(answer.headers["location"], data={"do": "add", "place": unescape(place[1])})
    assert refused.status_code == 422 and "Install our nodes" in refused.text


async def test_a_canvas_that_lacks_nodes_says_which_are_ours(page: httpx.AsyncClient) -> None:
    answer = await brought(page, {"nodes": [{"id": 1, "type": "WorkbenchCompare"}, {"id": 2, "type": "NobodysNode"}]})
    assert answer.status_code == 422
    ours, others = answer.text.split("Nodes missing: ")[1:]
    assert sorted([("WorkbenchCompare" in each, "install-nodes" in each) for each in (ours, others)]) == [
        (False, False),
        (True, True),
    ]
    assert "Install Missing Custom Nodes" in (others if "NobodysNode" in others else ours)


async def test_a_draft_says_at_its_top_which_models_are_missing(tmp_path: Path, embedded_url: str) -> None:
    manifest = own(tmp_path) / "manifest.toml"
    chosen = 'choices_from = "CheckpointLoaderSimple.ckpt_name"'
    manifest.write_text(manifest.read_text().replace(chosen, f'{chosen}\ndefault = "gone.safetensors"'))
    async with served(tmp_path, embedded_url) as page:
        shown = (await page.get((await page.post("/templates/mine/draft")).headers["location"])).text
    top = shown.partition('id="problems"')[2].partition("</section>")[0]
    assert "1 model is missing:" in top and "has all that it needs" not in top
    row = re.search(r'href="#(row-\d+)">gone.safetensors', top)
    assert row is not None and f'id="{row[1]}"' in shown


async def test_drafts_are_told_apart_and_discarded_where_they_are_listed(page: httpx.AsyncClient) -> None:
    graph = shipped("txt2img")
    graph["4"]["inputs"]["ckpt_name"] = "SDXL/sd_xl_base_1.0.safetensors"
    for name in ("workflow.json", "ComfyUI_00001_.png", "Unsaved Workflow (2).json"):
        await brought(page, graph, name)
    listed = (await page.get("/templates")).text
    assert listed.count("Picture with sd xl base 1.0</a>") == 3
    assert listed.count(f"{len(graph)} nodes") == 3 and listed.count("data-moment") == 3
    first = re.findall(r'action="(/templates/my-drafts/\w+)"', listed)[0]
    assert (await page.post(first, data={"do": "discard"})).headers["location"] == "/templates"
    assert first not in (await page.get("/templates")).text
    other = (await brought(page, graph, "my lake.json")).headers["location"]
    assert 'value="my lake"' in (await page.get(other)).text


async def test_a_try_shows_texts_and_not_the_ids_of_pictures(page: httpx.AsyncClient) -> None:
    draft = (await brought(page, shipped("txt2img"))).headers["location"]
    small = {"try_prompt": "a lake", "try_steps": "2", "try_width": "64", "try_height": "64"}
    await page.post(draft, data={"do": "try", **small})
    (job,) = (await page.get("/api/v1/jobs")).json()["jobs"]
    async with page.stream("GET", f"/api/v1/jobs/{job['id']}/events") as events:
        assert [line async for line in events.aiter_lines() if line == "event: end"]
    piece = (await page.get(f"{draft}/trial")).text
    assert "It works." in piece and "<pre>" not in piece


async def test_a_preview_is_the_same_for_both_sections(tmp_path: Path, embedded_url: str) -> None:
    picture = own(tmp_path) / "preview.webp"
    async with served(tmp_path, embedded_url) as page:
        for size, status in ((1_000_000, 200), (1_000_001, 404)):
            picture.write_bytes(b"RIFF\x10\x00\x00\x00WEBPVP8 ".ljust(size, b"\0"))
            for path in ("/templates/mine/preview.webp", "/tools/mine/preview"):
                assert (await page.get(path)).status_code == status, (path, size)
        assert "mine/preview" not in (await page.get("/templates")).text + (await page.get("/tools")).text
