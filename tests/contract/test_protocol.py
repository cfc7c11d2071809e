"""The contract on the wire: the same requests to both engines, the same answers and events."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
import websockets

from tests.data.record_object_info import recorded

Graph = dict[str, dict[str, Any]]


def colour(color: int | None = None) -> Graph:
    value = uuid.uuid4().int % 2**24 if color is None else color
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": value}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def painting(checkpoint: str, **sampler: Any) -> Graph:
    settings = {"seed": uuid.uuid4().int % 2**32, "steps": 3, "cfg": 7.0, "sampler_name": "euler"}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}
    return {
        "3": {
            "class_type": "KSampler",
            "inputs": {**settings, "scheduler": "normal", "denoise": 1, **links, **sampler},
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red house", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
    }


class Peer:
    """One client of an engine: HTTP, and a socket that has asked for previews with metadata."""

    def __init__(self, http: httpx.AsyncClient, socket: websockets.ClientConnection, client: str) -> None:
        self.http, self.socket, self.client = http, socket, client

    async def post(self, graph: Any, **more: Any) -> httpx.Response:
        body = {"prompt": graph, "client_id": self.client, **more}
        return await self.http.post("/prompt", json=body)

    async def run(self, graph: Graph) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
        """The prompt_id and all events of it, until nothing executes."""
        answer = await self.post(graph)
        assert answer.status_code == 200, answer.text
        prompt_id = answer.json()["prompt_id"]
        events: list[tuple[str, dict[str, Any]]] = []
        with anyio.fail_after(60):
            while True:
                message = await self.socket.recv()
                if isinstance(message, bytes):
                    continue
                told = json.loads(message)
                if told["data"].get("prompt_id") == prompt_id:
                    events.append((told["type"], told["data"]))
                    if told["type"] == "executing" and told["data"]["node"] is None:
                        return prompt_id, events


@asynccontextmanager
async def peer(url: str) -> AsyncGenerator[Peer]:
    client = uuid.uuid4().hex
    address = url.replace("http", "ws", 1) + f"/ws?clientId={client}"
    async with (
        httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http,
        websockets.connect(address, max_size=None, proxy=None) as socket,
    ):
        await socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        while json.loads(await socket.recv())["type"] != "feature_flags":
            pass
        yield Peer(http, socket, client)


@pytest.fixture
async def engine(comfyui_url: str) -> AsyncGenerator[Peer]:
    async with peer(comfyui_url) as connected:
        yield connected


async def checkpoint(engine: Peer) -> str:
    told = (await engine.http.get("/object_info/CheckpointLoaderSimple")).json()
    return told["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0][0]


async def test_a_prompt_tells_of_itself_in_order(engine: Peer) -> None:
    prompt_id, events = await engine.run(colour())

    kinds = [kind for kind, _ in events]
    assert kinds[:2] == ["execution_start", "execution_cached"]
    assert kinds[-2:] == ["execution_success", "executing"]
    assert [data["node"] for kind, data in events if kind == "executing"] == ["1", "2", None]
    assert kinds.index("progress_state") < kinds.index("executing")
    (output,) = [data["output"] for kind, data in events if kind == "executed"]
    assert output["images"][0]["type"] == "temp"
    entry = (await engine.http.get(f"/history/{prompt_id}")).json()[prompt_id]
    assert entry["outputs"]["2"]["images"] == output["images"]
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
    assert [message[0] for message in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]
    picture = await engine.http.get("/view", params=output["images"][0])
    assert picture.headers["content-type"] == "image/png"


async def test_a_sampler_reports_every_step(engine: Peer) -> None:
    _, events = await engine.run(painting(await checkpoint(engine), steps=3))
    steps = [(data["value"], data["max"], data["node"]) for kind, data in events if kind == "progress"]
    assert steps == [(1, 3, "3"), (2, 3, "3"), (3, 3, "3")]


async def test_what_did_not_change_is_cached(engine: Peer) -> None:
    graph = painting(await checkpoint(engine))
    await engine.run(graph)

    async def cached(changed: Graph) -> set[str]:
        _, events = await engine.run(changed)
        (data,) = [data for kind, data in events if kind == "execution_cached"]
        return set(data["nodes"])

    assert await cached(graph) == {"3", "4", "5", "6", "8", "9"}
    renumbered = json.loads(json.dumps(graph).replace('"3"', '"33"'))
    assert await cached(renumbered) == {"33", "4", "5", "6", "8", "9"}
    graph["3"]["inputs"]["seed"] += 1
    assert await cached(graph) == {"4", "5", "6"}
    graph["3"]["inputs"]["steps"] = "3"
    assert await cached(graph) == {"3", "4", "5", "6", "8", "9"}


async def test_a_cached_output_is_told_again_without_executing(engine: Peer) -> None:
    graph = colour()
    await engine.run(graph)
    _, events = await engine.run(graph)
    assert [data["node"] for kind, data in events if kind == "executing"] == [None]
    assert "executed" in [kind for kind, _ in events]


def broken(change: dict[str, Any], node: str = "1") -> Graph:
    graph = colour(5)
    graph[node]["inputs"] |= change
    return graph


REFUSED: dict[str, tuple[Any, str, str | None]] = {
    "unknown class": ({"1": {"class_type": "Nope", "inputs": {}}}, "invalid_prompt", None),
    "no class": ({"1": {"inputs": {}}}, "invalid_prompt", None),
    "no output": ({"1": colour()["1"]}, "prompt_no_outputs", None),
    "empty": ({}, "prompt_no_outputs", None),
    "too small": (broken({"width": 0}), "prompt_outputs_failed_validation", "value_smaller_than_min"),
    "too big": (broken({"width": 99_999}), "prompt_outputs_failed_validation", "value_bigger_than_max"),
    "no number": (broken({"width": "wide"}), "prompt_outputs_failed_validation", "invalid_input_type"),
    "null": (broken({"width": None}), "prompt_outputs_failed_validation", "invalid_input_type"),
    "long link": (broken({"images": ["1", 0, 1]}, "2"), "prompt_outputs_failed_validation", "bad_linked_input"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_prompt_is_refused_in_comfyuis_words(engine: Peer, name: str) -> None:
    graph, kind, reason = REFUSED[name]
    answer = await engine.post(graph)
    assert answer.status_code == 400
    told = answer.json()
    assert told["error"]["type"] == kind
    reasons = [each["type"] for node in told["node_errors"].values() for each in node["errors"]]
    assert reasons == ([reason] if reason else [])


async def test_a_choice_that_is_not_listed_is_named(engine: Peer) -> None:
    told = (await engine.post(painting("nope.safetensors", scheduler="karas"))).json()["node_errors"]
    assert told["4"]["errors"][0]["type"] == "value_not_in_list"
    assert told["4"]["errors"][0]["extra_info"]["received_value"] == "nope.safetensors"
    assert told["4"]["dependent_outputs"] == ["9"]
    assert "karras" in told["3"]["errors"][0]["extra_info"]["input_config"][0]


async def test_missing_inputs_and_wrong_types_are_named(engine: Peer) -> None:
    graph = painting(await checkpoint(engine), model=["4", 1])
    del graph["5"]["inputs"]["width"]
    told = (await engine.post(graph)).json()["node_errors"]
    assert told["3"]["errors"][0]["type"] == "return_type_mismatch"
    assert told["5"]["errors"][0]["type"] == "required_input_missing"


async def test_a_cycle_is_refused(engine: Peer) -> None:
    graph: Graph = {
        "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    assert (await engine.post(graph)).status_code == 400


async def test_one_good_output_of_two_runs_and_the_other_is_told(engine: Peer) -> None:
    graph = colour()
    graph["3"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 7]}}
    answer = await engine.post(graph)
    assert answer.status_code == 200
    assert answer.json()["node_errors"]["3"]["class_type"] == "PreviewImage"


async def test_uploads_are_named_by_content(engine: Peer, picture: bytes) -> None:
    async def upload(data: bytes) -> dict[str, str]:
        form = {"type": "input", "subfolder": "contract"}
        return (await engine.http.post("/upload/image", data=form, files={"image": (name, data)})).json()

    name = f"{uuid.uuid4().hex}.png"
    first, again, other = await upload(picture), await upload(picture), await upload(picture + b"\x00")
    assert first == again == {"name": name, "subfolder": "contract", "type": "input"}
    assert other["name"] == name.replace(".png", " (1).png")
    back = await engine.http.get("/view", params={"filename": name, "subfolder": "contract", "type": "input"})
    assert back.content == picture


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 404),
        ({"filename": "nope.png"}, 404),
        ({"filename": "../x"}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "x", "type": "secret"}, 400),
        ({"filename": "x", "subfolder": "../.."}, 403),
    ],
)
async def test_view_never_leaves_its_folders(engine: Peer, query: dict[str, str], status: int) -> None:
    assert (await engine.http.get("/view", params=query)).status_code == status


async def test_unknown_ids_are_no_failure(engine: Peer) -> None:
    assert (await engine.http.get("/history/nope")).json() == {}
    assert (await engine.http.post("/queue", json={"delete": ["nope"]})).status_code == 200
    assert (await engine.http.post("/interrupt", json={"prompt_id": "nope"})).status_code == 200
    assert (await engine.http.get("/object_info/Nope")).json() == {}
    assert (await engine.http.get("/models/nope")).status_code == 404


async def test_every_route_is_there_twice(engine: Peer) -> None:
    for path in ("/prompt", "/queue", "/system_stats", "/features", "/models", "/embeddings", "/object_info/KSampler"):
        plain, twin = await engine.http.get(path), await engine.http.get(f"/api{path}")
        assert (plain.status_code, plain.json().__class__) == (twin.status_code, twin.json().__class__)
    assert "vram_total" in (await engine.http.get("/system_stats")).json()["devices"][0]


async def test_a_page_of_another_origin_is_refused(engine: Peer) -> None:
    answer = await engine.http.get("/queue", headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


def _shape(spec: list[Any]) -> Any:
    """Type and limits of an input; choices that are files differ from machine to machine."""
    kind = "COMBO" if isinstance(spec[0], list) else spec[0]
    options: dict[str, Any] = spec[1] if len(spec) > 1 else {}
    return kind, {key: options[key] for key in ("default", "min", "max", "step") if key in options and kind != "COMBO"}


async def test_object_info_is_that_of_a_real_comfyui(embedded_url: str) -> None:
    real = recorded()
    async with httpx.AsyncClient(base_url=embedded_url, trust_env=False) as http:
        ours = (await http.get("/object_info")).json()
    assert len(ours) >= 40
    for name, node in ours.items():
        assert name in real, name
        for key in ("output", "output_is_list", "output_node", "input_order", "display_name"):
            assert node[key] == real[name][key], (name, key)
        for section, inputs in node["input"].items():
            if section != "hidden":
                for each, spec in inputs.items():
                    assert _shape(spec) == _shape(real[name]["input"][section][each]), (name, each)
