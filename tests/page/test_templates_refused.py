"""What the section of templates refuses, to whom, and what strangers' files cannot do."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncGenerator
from html import unescape
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from comfy_mcp.callers import Right
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from comfy_mcp.workflows import shipped_folder
from tests.workbenches import served, settings_for

ADMIN = "a-token-of-sixteen"
GRAPH = json.loads((shipped_folder() / "txt2img/workflow.json").read_text())
EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture
async def page(tmp_path: Path, embedded_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, embedded_url) as client:
        yield client


async def begun(page: httpx.AsyncClient, graph: object = GRAPH, name: str = "a lake.json") -> str:
    """The address of a draft of this graph."""
    answer = await page.post("/templates", files={"file": (name, json.dumps(graph).encode())})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def step(page: httpx.AsyncClient, draft: str, do: str, **fields: str) -> httpx.Response:
    return await page.post(draft, data={"do": do, **fields})


async def test_only_an_administrator_changes_anything_and_everybody_looks(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url, token=ADMIN) as http:
        http.headers["Authorization"] = f"Bearer {ADMIN}"
        draft = await begun(http)
        # As the command line does it beside a running workbench.
        async with Workbench.open(settings_for(tmp_path, embedded_url), dispatch=False) as workbench:
            text = await workbench.tokens.add(Token("ann", rights=frozenset({Right.MAKE})))
        http.headers["Authorization"] = f"Bearer {text}"
        assert (await http.get("/templates")).status_code == 200
        assert "Only an administrator" in (await http.get("/templates")).text
        assert (await http.get("/templates/txt2img")).status_code == 200
        assert (await http.get("/templates/txt2img/files/workflow.json")).json() == GRAPH
        assert (await http.get(draft)).status_code == 404
        for path in ("/templates", draft, "/templates/txt2img/draft", "/templates/x/delete", "/templates/x/preview"):
            assert (await http.post(path, data={"do": "save"})).status_code == 403, path


UNBINDABLE = json.dumps(GRAPH).replace('"3"', '"3#a.b"')

BROKEN = [
    b"",
    b"{}",
    b"[]",
    b"\x89PNG\r\n\x1a\nbroken",
    b"RIFF0000WEBPbroken",
    b"[" * 50_000,
    b'{"nodes": [1, {"id": {}}], "links": 3}',
    b'{"1": {"class_type": 5, "inputs": []}}',
    b'{"1": {"class_type": "KSampler", "inputs": {"model": ["1", 0]}}}',
    b'{"1": {"class_type": "SaveImage", "inputs": {"images": ["2", "x"]}}}',
    b'{"a#b.c": {"class_type": "EmptyImage", "inputs": {"width": 9}}}',
    b'{"1": {"class_type": "SaveImage", "inputs": {"images": %s}}}' % (b"[" * 300 + b"]" * 300),
    json.dumps({str(n): GRAPH["6"] for n in range(2_500)}).encode(),
    UNBINDABLE.encode(),
]


async def test_what_is_no_workflow_is_refused_and_never_a_defect(page: httpx.AsyncClient) -> None:
    for data in BROKEN:
        answer = await page.post("/templates", files={"file": ("x.json", data)})
        assert answer.status_code in (303, 400, 413, 422), answer.text
        if answer.status_code != 303:
            assert "notice bad" in answer.text
        else:
            assert (await page.get(answer.headers["location"])).status_code == 200


async def test_names_of_strangers_are_shown_and_never_run(page: httpx.AsyncClient) -> None:
    graph: Any = json.loads(json.dumps(GRAPH))
    graph["6"]["_meta"] = {"title": EVIL}
    graph["6"]["inputs"][EVIL] = EVIL
    graph[EVIL] = graph.pop("3")
    graph["8"]["inputs"]["samples"] = [EVIL, 0]
    draft = await begun(page, graph, name=f"{EVIL}\x01.json")
    shown = (await page.get(draft)).text
    assert "<img src=x" not in shown and "&lt;img src=x" in shown
    answer = await step(page, draft, "save", title=EVIL, name="mine", description=EVIL)
    assert answer.headers["location"].startswith("/templates/mine")
    for path in ("/templates", "/templates/mine"):
        shown = (await page.get(path)).text
        assert "<img src=x" not in shown and "&lt;img src=x" in shown


async def test_a_graph_with_more_links_than_anybody_could_read_is_told_in_words(
    page: httpx.AsyncClient, tmp_path: Path
) -> None:
    graph: Any = {"e": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}}
    for number in range(250):
        graph[str(number)] = {"class_type": "ImageBatch", "inputs": {"image1": ["e", 0], "image2": ["e", 0]}}
        graph[str(number)]["inputs"] |= {f"x{each}": [str(each), 0] for each in range(number)}
    graph["s"] = {"class_type": "SaveImage", "inputs": {"images": ["249", 0], "filename_prefix": "x"}}
    draft = await begun(page, graph)
    # ComfyUI's own nodes have no such inputs, so hardly anything is left; a person may bring a template that has.
    assert "links lead to inputs that their nodes do not have" in (await page.get(draft)).text
    folder = tmp_path / "templates/big"
    folder.mkdir(parents=True)
    (folder / "manifest.toml").write_text('title = "Big"\ndescription = "x"\n')
    (folder / "workflow.json").write_text(json.dumps(graph))
    await step(page, draft, "save", name="small")
    shown = (await page.get("/templates/big")).text
    assert "This graph is too large to draw." in shown and "more</span>" in shown
    assert (await page.get("/templates")).text.count("sketch-room") > 1


async def test_an_id_that_is_none_is_refused_beside_the_form(page: httpx.AsyncClient, tmp_path: Path) -> None:
    draft = await begun(page)
    for name in ("../up", "..", "a/b", "A", "chat", "txt2img.", "", "my-drafts", "x" * 33, "\x00"):
        answer = await step(page, draft, "save", name=name, overwrite="on")
        assert answer.status_code == 422 and "notice bad" in answer.text, name
    assert list(tmp_path.glob("templates/**/*")) == []


async def test_fields_that_fit_nothing_are_refused_and_kept_as_typed(page: httpx.AsyncClient) -> None:
    draft = await begun(page)
    typed = {"keep_3": "on", "name_3": "Not A Name", "min_3": "1e999", "default_3": "٣x", "label_3": "\x07"}
    assert (await step(page, draft, "check", **typed)).status_code == 303
    shown = (await page.get(draft)).text
    assert 'value="Not A Name"' in shown and "not a whole number" in shown
    for do in ("try", "save", "add", "up-99999999999", "up-²", "nothing-9"):
        answer = await step(page, draft, do, place="KSampler#3.model")
        assert answer.status_code in (303, 422), (do, answer.text)


async def test_a_draft_is_its_owners_and_only_some_are_kept(page: httpx.AsyncClient) -> None:
    first = await begun(page)
    for path in (first[:-1] + "x", "/templates/my-drafts/0", "/templates/my-drafts/..%2fx", first + "/trial/x"):
        assert (await page.get(path)).status_code == 404
    latest = [await begun(page) for _ in range(10)][-1]
    assert (await page.get(first)).status_code == 404
    assert (await page.get(latest)).status_code == 200
    await step(page, latest, "discard")
    assert (await page.get(latest)).status_code == 404


async def test_a_try_says_what_came_of_it(page: httpx.AsyncClient) -> None:
    graph = json.loads((shipped_folder() / "img2img/workflow.json").read_text())
    draft = await begun(page, graph)
    answer = await step(page, draft, "try", try_prompt="a lake", try_steps="lots")
    assert answer.status_code == 422 and "steps" in answer.text and ">a lake</textarea>" in answer.text
    answer = await step(page, draft, "try", try_steps="2")
    assert answer.status_code == 422 and "image" in answer.text
    answer = await page.post(draft, data={"do": "try"}, files={"file_image": ("x.png", b"no picture")})
    assert answer.status_code == 422
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(picture, "PNG")
    answer = await page.post(draft, data={"do": "try"}, files={"file_image": ("x.png", picture.getvalue())})
    assert answer.headers["location"] == f"{draft}#trial"
    (job,) = (await page.get("/api/v1/jobs")).json()["jobs"]
    async with page.stream("GET", f"/api/v1/jobs/{job['id']}/events") as events:
        assert [line async for line in events.aiter_lines() if line == "event: end"]
    piece = (await page.get(f"{draft}/trial")).text
    assert "It works." in piece and "hx-get" not in piece
    assert (await page.get("/api/v1/templates")).text.count("a_lake") == 0
    # Elsewhere it has a name that people know.
    (asset,) = (await page.get(f"/api/v1/jobs/{job['id']}")).json()["assets"]
    for path in ("/queue", "/gallery", f"/gallery/{asset['id']}"):
        shown = unescape((await page.get(path)).text)
        assert "Workflow of one's own" in shown and ">graph<" not in shown, path


async def test_a_try_that_was_stopped_says_so(tmp_path: Path, slow_url: str) -> None:
    async with served(tmp_path, slow_url) as http:
        draft = await begun(http)
        await step(http, draft, "try", try_prompt="a lake", try_steps="150")
        assert "hx-get" in (await http.get(f"{draft}/trial")).text
        (job,) = (await http.get("/api/v1/jobs")).json()["jobs"]
        await http.delete(f"/api/v1/jobs/{job['id']}")
        async with http.stream("GET", f"/api/v1/jobs/{job['id']}/events") as events:
            assert [line async for line in events.aiter_lines() if line == "event: end"]
        piece = (await http.get(f"{draft}/trial")).text
        assert "notice bad" in piece and "hx-get" not in piece
        assert (await http.get(draft)).status_code == 200


async def test_a_workflow_of_the_canvas_becomes_a_draft(page: httpx.AsyncClient) -> None:
    data = resources.files("comfyui_workflow_templates_json").joinpath("templates", "flux_schnell.json").read_bytes()
    answer = await page.post("/templates", files={"text": (None, data.decode())})
    shown = (await page.get(answer.headers["location"])).text
    assert shown.count("<rect") == 7 and ".steps" in shown


async def test_a_shipped_template_stays_as_it_is(page: httpx.AsyncClient) -> None:
    for path in ("delete", "preview"):
        answer = await page.post(f"/templates/txt2img/{path}", data={"asset": "x"})
        assert answer.status_code == 403 and "came with the workbench" in answer.text
    assert (await page.get("/templates/txt2img/preview.webp")).status_code == 404
    assert (await page.get("/templates/txt2img/files/secret.toml")).status_code == 404
    assert (await page.get("/templates/txt2img/files/..%2f..%2fpyproject.toml")).status_code == 404


async def test_changing_keeps_what_else_lies_in_the_folder(page: httpx.AsyncClient, tmp_path: Path) -> None:
    await step(page, await begun(page), "save", name="mine")
    folder = tmp_path / "templates/mine"
    (folder / "notes.txt").write_text("mine")
    draft = (await page.post("/templates/mine/draft")).headers["location"]
    await step(page, draft, "save", title="Other")
    assert (folder / "notes.txt").read_text() == "mine" and 'title = "Other"' in (folder / "manifest.toml").read_text()
    assert [each.name for each in (tmp_path / "templates").iterdir()] == ["mine"]


async def test_a_picture_of_mine_stands_for_a_template(page: httpx.AsyncClient) -> None:
    await step(page, await begun(page), "save", name="mine")
    values = {"prompt": "a lake", "steps": 2, "width": 64, "height": 64}
    job = (await page.post("/api/v1/jobs", json={"template": "mine", "values": values})).json()["id"]
    async with page.stream("GET", f"/api/v1/jobs/{job}/events") as events:
        assert [line async for line in events.aiter_lines() if line == "event: end"]
    (asset,) = (await page.get(f"/api/v1/jobs/{job}")).json()["assets"]
    assert f'value="{asset["id"]}"' in (await page.get("/templates/mine")).text
    assert (await page.post("/templates/mine/preview", data={"asset": "nobodys"})).status_code == 404
    assert (await page.post("/templates/mine/preview", data={"asset": asset["id"]})).status_code == 303
    shown = await page.get("/templates/mine/preview.webp")
    assert shown.headers["content-type"] == "image/webp" and shown.content[8:12] == b"WEBP"


async def test_without_a_comfyui_the_page_says_so(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9") as http:
        shown = (await http.get("/templates")).text
        assert "ComfyUI does not answer." in shown and "Unknown" in shown
        answer = await http.post("/templates", files={"file": ("x.json", json.dumps(GRAPH).encode())})
        assert answer.status_code == 503 and "notice bad" in answer.text
        assert (await http.get("/templates/txt2img")).status_code == 200
