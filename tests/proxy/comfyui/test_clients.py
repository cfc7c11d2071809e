"""Open WebUI's comfyui engine and LobeHub's ComfyUI provider, as they are, against our routes."""

from __future__ import annotations

import io
from pathlib import Path

import aiohttp
import httpx
import pytest
from PIL import Image

from tests.proxy.comfyui.clients import edit_of, graph_of, lobehub, open_webui
from tests.workbenches import served


@pytest.mark.requirement("R23")
async def test_open_webui_gets_the_pictures_of_its_workflow(http: httpx.AsyncClient) -> None:
    workflow = graph_of()
    # Its node map: type `n` is the batch, and a negative prompt that nobody wrote is null.
    workflow["5"]["inputs"]["batch_size"] = 2
    workflow["7"]["inputs"]["text"] = None

    pictures = await open_webui(f"{http.base_url}/comfyui", workflow)

    assert [kind for kind, _ in pictures] == ["image/png", "image/png"]
    assert all(Image.open(io.BytesIO(data)).size == (64, 64) for _, data in pictures)


@pytest.mark.requirement("R23")
async def test_open_webui_edits_a_picture_that_it_uploaded(http: httpx.AsyncClient, picture: bytes) -> None:
    files = {"image": ("0b5c.png", picture, "image/png"), "type": (None, "input")}
    uploaded = await http.post("/comfyui/api/upload/image", files=files)

    ((_, made),) = await open_webui(f"{http.base_url}/comfyui", edit_of(uploaded.raise_for_status().json()["name"]))

    before, after = Image.open(io.BytesIO(picture)), Image.open(io.BytesIO(made)).convert("RGB")
    assert after.size == before.size
    assert after.getpixel((0, 0)) == tuple(255 - level for level in before.getpixel((0, 0)))  # pyright: ignore


@pytest.mark.requirement("R23")
async def test_open_webui_lists_the_models_of_its_model_node(http: httpx.AsyncClient) -> None:
    info = (await http.get("/comfyui/object_info")).json()

    required = info["CheckpointLoaderSimple"]["input"]["required"]
    key = next(key for key in required if "_name" in key)
    assert required[key][0] and all(isinstance(model, str) for model in required[key][0])


@pytest.mark.requirement("R23")
async def test_open_webui_sends_its_key_with_everything(tmp_path: Path, embedded_url: str) -> None:
    key = "a token of enough characters"
    async with served(tmp_path, embedded_url, comfyui_routes=True, token=key) as http:
        pictures = await open_webui(f"{http.base_url}/comfyui", graph_of(), key)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await open_webui(f"{http.base_url}/comfyui", graph_of(), "another of as many characters")

    assert len(pictures) == 1 and caught.value.status == 401


@pytest.mark.requirement("R23")
async def test_lobehub_gets_a_picture(http: httpx.AsyncClient) -> None:
    made, events = await lobehub(http)

    assert Image.open(io.BytesIO(made)).size == (64, 64)
    assert events.seen[0][0] == "status" and events.seen[0][1]["sid"]


@pytest.mark.requirement("R23")
async def test_lobehub_edits_a_picture(http: httpx.AsyncClient, picture: bytes) -> None:
    made, _ = await lobehub(http, picture)

    assert Image.open(io.BytesIO(made)).size == (96, 64)
