"""What is the embedded engine's own: the painter, its honesty, and that no client can harm it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
import websockets
from PIL import Image

from comfy_mcp.embedded.host import NOTICE
from comfy_mcp.embedded.painter import Brief, paint
from tests.contract.test_protocol import Graph, colour, painting, peer
from tests.engines import running_engine

BRIEF = Brief(prompt="a lighthouse by the sea at sunset", seed=7, steps=4, cfg=6.0, model="a")


def painted(brief: Brief) -> Any:
    return list(paint(brief, 96, 64))[-1]


def test_the_same_brief_gives_the_same_picture() -> None:
    assert np.array_equal(painted(BRIEF), painted(BRIEF))


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a forest in snow"}, {"negative": "sea"}, {"seed": 8}, {"steps": 20}, {"cfg": 9.0},
        {"sampler": "dpmpp_2m"}, {"scheduler": "karras"}, {"model": "b"},
    ],
    ids=str,
)  # fmt: skip
def test_everything_that_is_asked_for_changes_the_picture(change: dict[str, Any]) -> None:
    assert not np.array_equal(painted(BRIEF), painted(replace(BRIEF, **change)))


def test_every_step_is_a_picture_nearer_to_the_last() -> None:
    steps = list(paint(replace(BRIEF, steps=8), 96, 64))
    distances = [float(np.abs(step - steps[-1]).mean()) for step in steps]
    assert len(steps) == 8
    assert distances == sorted(distances, reverse=True)
    assert all(step.min() >= 0 and step.max() <= 1 for step in steps)


@pytest.mark.parametrize("size", [(8, 8), (16, 512), (512, 16), (1, 1)])
@pytest.mark.parametrize("prompt", ["", "漢字 🌊", "sea city forest stars snow red blue green", "\ud800"])
def test_no_prompt_and_no_size_is_too_odd(size: tuple[int, int], prompt: str) -> None:
    (picture,) = paint(Brief(prompt=prompt, steps=1), *size)
    assert picture.shape == (size[1], size[0], 3)
    assert np.isfinite(picture).all()


async def result(url: str, graph: Graph) -> tuple[dict[str, Any], Image.Image]:
    async with peer(url) as engine:
        prompt_id, _ = await engine.run(graph)
        output = (await engine.http.get(f"/history/{prompt_id}")).json()[prompt_id]["outputs"]
        (node,) = output.values()
        data = (await engine.http.get("/view", params=node["images"][0])).content
    return node, Image.open(io.BytesIO(data))


async def test_what_is_painted_says_so_and_what_is_not_does_not(embedded_url: str) -> None:
    node, picture = await result(embedded_url, painting("procedural-sd15.safetensors"))
    assert node["notice"] == [NOTICE]
    assert picture.info["workbench"] == NOTICE
    assert json.loads(picture.info["prompt"])["3"]["class_type"] == "KSampler"
    node, picture = await result(embedded_url, colour())
    assert "notice" not in node and "workbench" not in picture.info


async def test_a_mask_keeps_what_is_outside_of_it(embedded_url: str, picture: bytes) -> None:
    half = io.BytesIO()
    mask = Image.new("L", (96, 64))
    mask.paste(255, (48, 0, 96, 64))
    mask.save(half, "PNG")
    async with httpx.AsyncClient(base_url=embedded_url) as http:
        for name, data in (("source.png", picture), ("mask.png", half.getvalue())):
            form = {"overwrite": "true"}
            await http.post("/upload/image", data=form, files={"image": (name, data)})
    graph = painting("procedural-sd15.safetensors", latent_image=["12", 0])
    graph["10"] = {"class_type": "LoadImage", "inputs": {"image": "source.png"}}
    graph["11"] = {"class_type": "LoadImageMask", "inputs": {"image": "mask.png", "channel": "red"}}
    graph["13"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["10", 0], "vae": ["4", 2]}}
    graph["12"] = {"class_type": "SetLatentNoiseMask", "inputs": {"samples": ["13", 0], "mask": ["11", 0]}}
    _, made = await result(embedded_url, graph)
    source = np.asarray(Image.open(io.BytesIO(picture)), int)
    difference = np.abs(np.asarray(made.convert("RGB"), int) - source).mean(axis=2)
    assert difference[:, :40].max() <= 2
    assert difference[:, 56:].mean() > 10


async def test_previews_come_in_the_form_that_was_asked_for(embedded_url: str) -> None:
    for modern in (True, False):
        client = uuid.uuid4().hex
        address = embedded_url.replace("http", "ws", 1) + f"/ws?clientId={client}"
        async with websockets.connect(address, max_size=None, proxy=None, close_timeout=0.2) as socket:
            if modern:
                flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
                await socket.send(json.dumps(flags))
            async with httpx.AsyncClient(base_url=embedded_url) as http:
                graph = painting("procedural-sd15.safetensors")
                await http.post("/prompt", json={"prompt": graph, "client_id": client})
            with anyio.fail_after(20):
                while isinstance(message := await socket.recv(), str):
                    pass
        kind, second = int.from_bytes(message[:4], "big"), int.from_bytes(message[4:8], "big")
        data = message[8 + second :] if modern else message[8:]
        assert kind == (4 if modern else 1)
        assert Image.open(io.BytesIO(data)).format == "JPEG"


async def test_an_interrupt_stops_a_sampler_between_two_steps(slow_url: str) -> None:
    async with peer(slow_url) as engine:
        graph = painting("procedural-sd15.safetensors", steps=500)
        prompt_id, events = "", list[tuple[str, dict[str, Any]]]()
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:

                async def interrupt() -> None:
                    while not (await engine.http.get("/queue")).json()["queue_running"]:
                        pass
                    await anyio.sleep(0.3)
                    await engine.http.post("/interrupt", json={})

                tasks.start_soon(interrupt)
                prompt_id, events = await engine.run(graph)
        assert events[-2][0] == "execution_interrupted"
        status = (await engine.http.get(f"/history/{prompt_id}")).json()[prompt_id]["status"]
        assert (status["status_str"], status["completed"]) == ("error", False)


async def test_free_empties_the_cache(embedded_url: str) -> None:
    async with peer(embedded_url) as engine:
        graph = colour()
        await engine.run(graph)
        await engine.http.post("/free", json={"free_memory": True})
        _, events = await engine.run(graph)
        (data,) = [data for kind, data in events if kind == "execution_cached"]
        assert data["nodes"] == []


async def test_a_client_that_does_not_read_holds_up_nobody() -> None:
    with running_engine() as engine:
        deaf = uuid.uuid4().hex
        address = engine.url.replace("http", "ws", 1) + f"/ws?clientId={deaf}"
        async with (
            websockets.connect(address, max_queue=1, proxy=None, close_timeout=0.2),
            httpx.AsyncClient(base_url=engine.url) as http,
        ):
            graph = painting("procedural-sd15.safetensors", steps=400)
            await http.post("/prompt", json={"prompt": graph, "client_id": deaf})
            async with peer(engine.url) as other:
                with anyio.fail_after(30):
                    await other.run(colour())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"prompt": null}', b'{"prompt": [1]}', b"[" * 100_000])
async def test_no_body_is_a_crash(embedded_url: str, body: bytes) -> None:
    async with httpx.AsyncClient(base_url=embedded_url) as http:
        for path in ("/prompt", "/queue", "/history", "/interrupt", "/free"):
            assert (await http.post(path, content=body)).status_code in (200, 400)


async def test_a_node_that_fails_ends_its_prompt_alone(embedded_url: str, picture: bytes) -> None:
    async with peer(embedded_url) as engine:
        files = {"image": ("broken.png", picture[: len(picture) // 2])}
        await engine.http.post("/upload/image", data={"overwrite": "true"}, files=files)
        graph = colour()
        graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "broken.png"}}
        prompt_id, events = await engine.run(graph)
        (error,) = [data for kind, data in events if kind == "execution_error"]
        assert (error["node_id"], error["node_type"]) == ("1", "LoadImage")
        entry = (await engine.http.get(f"/history/{prompt_id}")).json()[prompt_id]
        assert entry["status"]["messages"][-1][0] == "execution_error"
        await engine.run(colour())


def test_the_engine_listens_on_this_machine_only() -> None:
    command = [sys.executable, "-m", "comfy_mcp.embedded", "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0 and "this machine only" in done.stderr


def test_a_ledger_tells_of_every_execution(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    graph = colour()
    with running_engine("--ledger", str(ledger)) as engine:
        for prompt_id in ("first", "second"):
            body = {"prompt": graph, "prompt_id": prompt_id}
            httpx.post(f"{engine.url}/prompt", json=body).raise_for_status()
        while len(httpx.get(f"{engine.url}/history").json()) < 2:
            time.sleep(0.02)
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    told = [(entry["event"], entry["prompt_id"]) for entry in entries]
    assert told == [("start", "first"), ("end", "first"), ("start", "second"), ("end", "second")]
    assert entries[0]["graph"] == graph
    assert entries[0]["at"] <= entries[1]["at"]


async def test_a_file_that_is_no_picture_is_fetched_as_it_is_and_none_that_a_page_would_run(embedded_url: str) -> None:
    kinds = {"a.md": "text/markdown", "a.json": "application/json", "a.html": "application/octet-stream"}
    async with peer(embedded_url) as engine:
        for name, media in kinds.items():
            uploaded = await engine.http.post("/upload/image", files={"image": (name, b"<b>hi</b>", "image/png")})
            found = await engine.http.get("/view", params={"filename": uploaded.json()["name"], "type": "input"})
            assert (found.status_code, found.content) == (200, b"<b>hi</b>")
            assert found.headers["content-type"].partition(";")[0] == media
