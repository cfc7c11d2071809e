"""What the routes do not let through: other routes, other nodes, odd graphs and names. None of it reaches a ComfyUI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.proxy.comfyui.clients import edit_of, graph_of, submitted
from tests.proxy.comfyui.conftest import Noted
from tests.workbenches import served

CLOSED = (
    "userdata/x",
    "api/userdata/x",
    "customnode/install",
    "manager/reboot",
    "internal/logs",
    "free",
    "experiment/models/preview/x",
    "extensions",
    "api/prompt",
    "models/checkpoints",
    "settings",
    "users",
)
FORMS = (
    "/comfyui/{}",
    "/comfyui//{}",
    "/comfyui/./{}",
    "/comfyui/%2f{}",
    "/comfyui/%2e/{}",
    "/comfyui/view/../{}",
    "/comfyui/view/%2e%2e/{}",
    "/comfyui/history/%2e%2e%2f{}",
    "/comfyui%2f{}",
    "//comfyui/{}",
    "/comfyui/{}/",
)
PATHS = (
    "../../etc/passwd",
    "..\\..\\x",
    "/etc/passwd",
    "C:\\x",
    "\\\\h\\s",
    "a/../../x [output]",
    "x\0.png",
    "%2e%2e/",
    "．．/",
    "..;/x",
    "x" * 4096,
)


async def refused(http: httpx.AsyncClient, body: Any) -> dict[str, Any]:
    """The refusal of a graph, in ComfyUI's shape."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await http.post("/comfyui/prompt", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 403, 413), answer.text
    told = answer.json()
    assert {"type", "message", "details", "extra_info"} == told["error"].keys()
    assert isinstance(told["node_errors"], dict)
    return told


async def answered(port: int, method: str, path: str) -> int:
    """The status for a path that is sent as it is."""
    stream = await anyio.connect_tcp("127.0.0.1", port)
    async with stream:
        ends = "Host: 127.0.0.1\r\nConnection: close\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
        await stream.send(f"{method} {path} HTTP/1.1\r\n{ends}".encode())
        return int((await stream.receive()).split(b" ")[1])


async def test_no_other_route_is_there_in_any_spelling(watched: httpx.AsyncClient, noted: Noted) -> None:
    port = watched.base_url.port
    assert port is not None
    for form in FORMS:
        for closed in CLOSED:
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
                assert await answered(port, method, form.format(closed)) == 404, (method, form, closed)

    assert [each for each in noted.asked if any(word.split("/")[-1] in each for word in CLOSED)] == []


async def test_there_are_no_routes_unless_the_settings_ask(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        for path in ("prompt", "queue", "history", "object_info", "system_stats", "view", "embeddings"):
            assert (await http.get(f"/comfyui/{path}")).status_code == 404
        assert (await http.post("/comfyui/prompt", json={"prompt": graph_of()})).status_code == 404
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        answer = await http.get("/comfyui/ws", headers={**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
        assert answer.status_code in (403, 404)


def odd_graphs() -> Iterator[tuple[str, Any]]:
    yield "no graph", {}
    yield "null", {"prompt": None}
    yield "a list", {"prompt": []}
    yield "empty", {"prompt": {}}
    yield "canvas", {"prompt": {"nodes": [], "links": [], "version": 0.4}}
    yield "too many nodes", {"prompt": {str(number): graph_of()["4"] for number in range(2001)}}
    yield "no class", {"prompt": {"1": {"inputs": {}}}}
    yield "class of no text", {"prompt": {"1": {"class_type": ["KSampler"], "inputs": {}}}}
    yield "a node of a number", {"prompt": {"1": 1}}
    yield "itself", {"prompt": graph_of() | {"8": {"class_type": "ImageInvert", "inputs": {"image": ["8", 0]}}}}
    chain = {
        str(at): {"class_type": "ImageInvert", "inputs": {"image": [str(at % 1000 + 1), 0]}} for at in range(1, 1001)
    }
    yield "a long circle", {"prompt": chain | {"s": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}}
    yield "a link to nowhere", {"prompt": {"1": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}}}
    yield "an output that is none", {"prompt": graph_of() | {"8": graph_of()["8"] | {"inputs": {"samples": ["3", 9]}}}}
    yield "no output", {"prompt": {"4": graph_of()["4"]}}
    yield "twice", b'{"prompt": {"1": {"class_type": "KSampler", "inputs": {}}, "1": {}}}'
    yield "NaN", b'{"prompt": {"1": {"class_type": "KSampler", "inputs": {"cfg": NaN}}}}'
    yield "deep", b'{"prompt": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    yield "large", b'{"prompt": {"1": "' + b"x" * (4 << 20) + b'"}}'
    yield "no JSON", b"prompt=1"


async def test_odd_graphs_are_refused_in_comfyuis_shape(watched: httpx.AsyncClient, noted: Noted) -> None:
    for name, body in odd_graphs():
        told = await refused(watched, body)
        assert told["error"]["message"], name

    assert "POST /prompt" not in noted.asked
    assert (await watched.get("/api/v1/jobs")).json()["jobs"] == []


@pytest.mark.parametrize(
    "name", ["SRL Eval", "NoSuchNode", "WorkbenchChat", "SaveLatent", "LoadImageOutput", "KSAMPLER"]
)
async def test_only_usual_nodes_are_taken(watched: httpx.AsyncClient, noted: Noted, name: str) -> None:
    told = await refused(watched, {"prompt": graph_of() | {"66": {"class_type": name, "inputs": {"code": "1"}}}})

    assert told["error"]["type"] == "not_allowed"
    assert told["node_errors"]["66"]["class_type"] == name
    assert "POST /prompt" not in noted.asked


async def test_the_settings_may_name_more_nodes(tmp_path: Path, embedded_url: str) -> None:
    graph = graph_of() | {"10": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["8", 0]}}}
    async with served(tmp_path, embedded_url, comfyui_routes=True, graph_nodes=["SaveImageWebsocket"]) as http:
        assert "SaveImageWebsocket" in (await http.get("/comfyui/object_info")).json()
        assert await submitted(http, graph)


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
async def test_no_name_leads_out_of_a_folder(watched: httpx.AsyncClient, noted: Noted, path: str) -> None:
    saved, masked, loaded = graph_of(prefix=path), edit_of("x"), graph_of()
    masked["9"] = {"class_type": "LoadImageMask", "inputs": {"image": path, "channel": "red"}}
    loaded["4"]["inputs"]["ckpt_name"] = path
    for graph, node in ((saved, "9"), (edit_of(path), "1"), (masked, "9"), (loaded, "4")):
        if graph is masked:
            graph["1"] = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
        told = await refused(watched, {"prompt": graph})
        assert list(told["node_errors"]) == [node]

    assert "POST /prompt" not in noted.asked and "POST /upload/image" not in noted.asked


async def test_a_value_that_is_not_offered_is_told_with_its_node(watched: httpx.AsyncClient, noted: Noted) -> None:
    graph = graph_of()
    graph["3"]["inputs"]["sampler_name"] = "eular"

    told = await refused(watched, {"prompt": graph})

    assert told["node_errors"]["3"]["errors"][0]["extra_info"] == {"input_name": "sampler_name"}
    assert "euler" in told["error"]["details"]
    assert "POST /prompt" not in noted.asked


async def test_what_comes_beside_the_graph_changes_nothing(watched: httpx.AsyncClient, noted: Noted) -> None:
    first = await submitted(watched, graph_of())
    body = {
        "prompt": graph_of(2),
        "number": -5,
        "front": True,
        "extra_data": {"api_key_comfy_org": "x"},
        "client_id": 5,
    }
    second = (await watched.post("/comfyui/prompt", json=body)).json()

    assert second["prompt_id"] != first and second["number"] > 0 and second["node_errors"] == {}


async def test_the_names_of_other_uploads_are_not_told(http: httpx.AsyncClient, picture: bytes) -> None:
    files = {"image": ("a.png", picture, "image/png")}
    name = (await http.post("/comfyui/upload/image", files=files)).json()["name"]
    await submitted(http, edit_of(name))

    told = (await http.get("/comfyui/object_info/LoadImage")).json()

    assert told["LoadImage"]["input"]["required"]["image"][0] == []
    assert (await http.get("/comfyui/object_info/SaveLatent")).json() == {}
