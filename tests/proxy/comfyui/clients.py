"""The clients of ComfyUI's routes as they really are, line by line, over real sockets.

Open WebUI: `backend/open_webui/utils/images/comfyui.py` and `routers/images.py`. LobeHub: `core/*.ts` of its
`src/server/services/comfyui`, and `client.ts` and `call-wrapper.ts` of @saintno/comfyui-sdk.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import anyio
import httpx
from websockets.asyncio.client import ClientConnection, connect

__all__ = ["CHECKPOINT", "Events", "edit_of", "graph_of", "listening", "lobehub", "open_webui", "submitted"]

CHECKPOINT = "procedural-sd15.safetensors"
Graph = dict[str, dict[str, Any]]


def graph_of(seed: int = 7, *, steps: int = 2, prefix: str = "ComfyUI") -> Graph:
    """The workflow that ComfyUI opens with, small."""
    return {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed,
                "steps": steps,
                "cfg": 8,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red house", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix, "images": ["8", 0]}},
    }


def edit_of(image: str) -> Graph:
    """An edit of an uploaded picture that needs no model."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": image, "upload": "image"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["2", 0]}},
    }


class Events:
    """What a socket says."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.previews: list[bytes] = []

    async def until(self, kind: str, **data: Any) -> dict[str, Any]:
        """The next event of this kind that says so; the others are kept too."""
        with anyio.fail_after(20):
            while True:
                arrived = await self._socket.recv()
                if isinstance(arrived, bytes):
                    self.previews.append(arrived)
                    continue
                told = json.loads(arrived)
                self.seen.append((told["type"], told["data"]))
                if told["type"] == kind and data.items() <= told["data"].items():
                    return told["data"]

    def kinds(self, prompt: str) -> list[str]:
        """The kinds of the events of one prompt, each once in a row."""
        found = [kind for kind, data in self.seen if data.get("prompt_id") == prompt]
        return [kind for number, kind in enumerate(found) if number == 0 or found[number - 1] != kind]


@asynccontextmanager
async def listening(http: httpx.AsyncClient, client: str, **headers: str) -> AsyncGenerator[Events]:
    address = f"{str(http.base_url).rstrip('/').replace('http', 'ws', 1)}/comfyui/ws?clientId={client}"
    async with connect(address, additional_headers=headers, proxy=None, max_size=2**22) as socket:
        yield Events(socket)


async def submitted(http: httpx.AsyncClient, graph: Graph, client: str = "", **headers: str) -> str:
    """The id of a graph that is taken."""
    body = {"prompt": graph, "client_id": client} if client else {"prompt": graph}
    answer = await http.post("/comfyui/prompt", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["prompt_id"]


async def open_webui(base_url: str, workflow: Graph, api_key: str = "") -> list[tuple[str, bytes]]:
    """`comfyui_create_image`, then `get_image_data` of each address: content types and pictures.

    An empty key is sent too, as `Bearer `.
    """
    headers, client_id = {"Authorization": f"Bearer {api_key}"}, str(uuid4())
    ws_url = base_url.replace("http://", "ws://")
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{ws_url}/ws?clientId={client_id}", headers=headers) as ws:
            body = {"prompt": workflow, "client_id": client_id}
            async with session.post(f"{base_url}/prompt", json=body, headers=headers) as queued:
                queued.raise_for_status()
                prompt_id = (await queued.json())["prompt_id"]
            async for message in ws:
                if message.type == aiohttp.WSMsgType.TEXT:
                    told = json.loads(message.data)
                    ended = told["type"] == "executing" and told["data"]["node"] is None
                    if ended and told["data"]["prompt_id"] == prompt_id:
                        break
        async with session.get(f"{base_url}/history/{prompt_id}", headers=headers) as answer:
            history = (await answer.json())[prompt_id]
        pictures: list[tuple[str, bytes]] = []
        for node_id, output in history["outputs"].items():
            if node_id in workflow and workflow[node_id].get("class_type") in ("SaveImage", "PreviewImage"):
                for image in output["images"]:
                    data = {"filename": image["filename"], "subfolder": image["subfolder"], "type": image["type"]}
                    async with session.get(f"{base_url}/view?{urlencode(data)}", headers=headers) as viewed:
                        viewed.raise_for_status()
                        pictures.append((viewed.headers["content-type"], await viewed.read()))
        return pictures


async def lobehub(http: httpx.AsyncClient, picture: bytes | None = None) -> tuple[bytes, Events]:
    """`ImageService.createImage`: the picture that came out, and what the socket said."""
    client_id = str(uuid4())
    assert (await http.get("/comfyui/prompt")).json()["exec_info"]["queue_remaining"] == 0
    async with listening(http, client_id) as events:
        # Asked beside the socket by `init`; nothing comes of it.
        told = await http.patch("/comfyui/internal/logs/subscribe", json={"clientId": client_id, "enabled": False})
        assert told.status_code == 404
        assert (await http.get("/comfyui/manager/version")).status_code == 404
        assert (await http.get("/comfyui/object_info/Primitive%20boolean%20%5BCrystools%5D")).json() == {}
        assert (await http.get("/comfyui/system_stats")).raise_for_status().json()["system"]["os"]
        definition = (await http.get("/comfyui/object_info/CheckpointLoaderSimple")).json()
        assert CHECKPOINT in definition["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
        definitions = (await http.get("/comfyui/object_info")).json()
        assert isinstance(definitions["VAELoader"]["input"]["required"]["vae_name"][0], list)
        graph = graph_of(prefix="LobeChat/%year%-%month%-%day%/SDXL")
        if picture is not None:
            graph = edit_of(await _uploaded(http, picture))
        text = json.dumps({"client_id": client_id, "prompt": graph})
        # `fetchApi` drops the header of the call, so the body goes out as text.
        sent = await http.post("/comfyui/prompt", content=text, headers={"Content-Type": "text/plain;charset=UTF-8"})
        prompt_id = sent.raise_for_status().json()["prompt_id"]
        await events.until("executing", prompt_id=prompt_id)
        await http.get(f"/comfyui/history/{prompt_id}")
        found = [data for kind, data in events.seen if kind == "executed"]
        output = found[0]["output"] if found else (await events.until("executed", prompt_id=prompt_id))["output"]
        await events.until("status")
    image = output["images"][0]
    where = f"/comfyui/view?filename={image['filename']}&type={image['type']}&subfolder={image['subfolder']}"
    return (await http.get(where)).raise_for_status().content, events


async def _uploaded(http: httpx.AsyncClient, picture: bytes) -> str:
    form = {"subfolder": "", "overwrite": "false"}
    files = {"image": ("LobeChat_img2img_1764000000000_a1b2.png", picture, "application/octet-stream")}
    answer = await http.post("/comfyui/upload/image", data=form, files=files)
    return answer.raise_for_status().json()["name"]
