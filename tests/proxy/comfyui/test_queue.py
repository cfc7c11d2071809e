"""Graphs are jobs like others: in the queue, in the history, cancelled, and nobody else's."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from tests.proxy.comfyui.clients import edit_of, graph_of, submitted

ANNA, BEN = {"x-user-id": "anna"}, {"x-user-id": "ben"}


async def finished(http: httpx.AsyncClient, prompt: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    with anyio.fail_after(30):
        while True:
            told = (await http.get(f"/comfyui/history/{prompt}", headers=headers)).json()
            if told:
                return told[prompt]
            await anyio.sleep(0.05)


async def running(http: httpx.AsyncClient, prompt: str, headers: dict[str, str] | None = None) -> None:
    with anyio.fail_after(30):
        while True:
            told = (await http.get("/comfyui/queue", headers=headers)).json()
            if [entry[1] for entry in told["queue_running"]] == [prompt]:
                return
            await anyio.sleep(0.05)


async def test_the_history_has_comfyuis_shape(http: httpx.AsyncClient) -> None:
    graph = graph_of()
    graph["10"] = {"class_type": "ImageInvert", "inputs": {"image": ["8", 0]}}
    graph["11"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "b", "images": ["10", 0]}}
    job = await submitted(http, graph)

    entry = await finished(http, job)

    assert entry["status"]["status_str"] == "success" and entry["status"]["completed"] is True
    assert entry["outputs"].keys() == {"9", "11"}
    names = [entry["outputs"][node]["images"][0]["filename"] for node in ("9", "11")]
    assert len(set(names)) == 2
    number, prompt_id, told, extra, ends = entry["prompt"]
    assert (prompt_id, told, extra, set(ends)) == (job, graph, {}, {"9", "11"}) and isinstance(number, int)
    (listed,) = (await http.get("/comfyui/history")).json().items()
    assert listed == (job, entry)


async def test_a_graph_is_a_job_like_any_other(http: httpx.AsyncClient) -> None:
    job = await submitted(http, graph_of())
    await finished(http, job)

    told = (await http.get(f"/api/v1/jobs/{job}")).json()

    assert (told["template"], told["state"], len(told["assets"])) == ("graph", "succeeded", 1)
    (output,) = told["outputs"]
    assert (output["node"], output["kind"], output["value"]) == ("9", "file", told["assets"][0]["id"])


async def test_the_queue_tells_what_runs_and_what_waits(slow: httpx.AsyncClient) -> None:
    first, second = await submitted(slow, graph_of(1, steps=150)), await submitted(slow, graph_of(2))
    await running(slow, first)

    told = (await slow.get("/comfyui/queue")).json()

    assert [entry[1] for entry in told["queue_pending"]] == [second]
    assert told["queue_pending"][0][2] == graph_of(2)
    assert (await slow.get("/comfyui/prompt")).json() == {"exec_info": {"queue_remaining": 2}}
    assert (await slow.post("/comfyui/queue", json={"clear": True})).status_code == 400
    await slow.post("/comfyui/queue", json={"delete": [second, first, 5, "nothing"]})
    assert (await slow.get("/comfyui/queue")).json()["queue_pending"] == []
    await running(slow, first)
    assert (await slow.post("/comfyui/interrupt")).status_code == 200
    assert (await finished(slow, first))["status"]["status_str"] == "error"


async def test_nobody_sees_or_stops_what_is_somebody_elses(several: httpx.AsyncClient, picture: bytes) -> None:
    files = {"image": ("a.png", picture, "image/png")}
    name = (await several.post("/comfyui/upload/image", files=files, headers=ANNA)).json()["name"]
    job = await submitted(several, graph_of(1, steps=40), **ANNA)
    await running(several, job, ANNA)

    for body in ({"prompt_id": job}, {}):
        assert (await several.post("/comfyui/interrupt", json=body, headers=BEN)).status_code == 200
    await several.post("/comfyui/queue", json={"delete": [job]}, headers=BEN)
    assert (await several.get("/comfyui/queue", headers=BEN)).json() == {"queue_running": [], "queue_pending": []}
    assert (await several.get("/comfyui/prompt", headers=BEN)).json()["exec_info"]["queue_remaining"] == 0
    assert (await several.get("/comfyui/view", params={"filename": name}, headers=BEN)).status_code == 404
    assert (await several.get("/comfyui/view", params={"filename": name}, headers=ANNA)).status_code == 200
    stolen = await several.post("/comfyui/prompt", json={"prompt": edit_of(name)}, headers=BEN)
    assert stolen.status_code == 400 and "1" in stolen.json()["node_errors"]
    assert (await finished(several, job, ANNA))["status"]["status_str"] == "success"
    assert (await several.get(f"/comfyui/history/{job}", headers=BEN)).json() == {}
    assert (await several.get("/comfyui/history", headers=BEN)).json() == {}


async def test_a_job_of_another_front_door_is_not_stopped_here(slow: httpx.AsyncClient) -> None:
    values = {"prompt": "a red house", "width": 64, "height": 64, "steps": 20}
    other = (await slow.post("/api/v1/jobs", json={"template": "txt2img", "values": values})).json()["id"]
    with anyio.fail_after(30):
        while (await slow.get(f"/api/v1/jobs/{other}")).json()["state"] != "running":
            await anyio.sleep(0.05)

    for body in ({"prompt_id": other}, {}):
        await slow.post("/comfyui/interrupt", json=body)

    with anyio.fail_after(30):
        while (told := (await slow.get(f"/api/v1/jobs/{other}")).json())["state"] == "running":
            await anyio.sleep(0.05)
    assert told["state"] == "succeeded"


async def test_a_picture_is_served_as_what_it_is_and_nothing_else(http: httpx.AsyncClient, picture: bytes) -> None:
    files = {"image": ('a".html', picture, "text/html")}
    told = (await http.post("/comfyui/upload/image", files=files, data={"type": "input"})).json()

    seen = await http.get("/comfyui/view", params={"filename": told["name"], "type": "input", "subfolder": ""})

    assert told["type"] == "input" and told["name"].endswith(".png")
    assert seen.headers["content-type"] == "image/png" and seen.content == picture
    assert "sandbox" in seen.headers["content-security-policy"]
    assert seen.headers["x-content-type-options"] == "nosniff"
    for name in ("", "x", "../" + told["name"], told["name"] + " [output]", told["name"].upper(), "%2e%2e%2fx.png"):
        assert (await http.get("/comfyui/view", params={"filename": name})).status_code == 404, name


@pytest.mark.parametrize("data", [b"<svg onload='x()'/>", b"<html>", b""])
async def test_what_is_no_picture_is_not_kept(http: httpx.AsyncClient, data: bytes) -> None:
    answer = await http.post("/comfyui/upload/image", files={"image": ("a.png", data, "image/png")})

    assert answer.status_code == 422 and answer.json()["error"]["message"]


async def test_a_picture_has_the_same_headers_at_every_door_and_is_sent_once(
    http: httpx.AsyncClient, picture: bytes
) -> None:
    name = (await http.post("/comfyui/upload/image", files={"image": ("a.png", picture)})).json()["name"]
    asset = name.partition(".")[0]

    seen = [await http.get(path) for path in (f"/comfyui/view?filename={name}", f"/api/v1/assets/{asset}")]

    told = ("etag", "cache-control", "content-security-policy", "content-type", "content-length")
    assert [seen[0].headers[each] for each in told] == [seen[1].headers[each] for each in told]
    assert seen[0].headers["content-disposition"] == f"inline; filename*=UTF-8''{name}"
    again = await http.get(f"/comfyui/view?filename={name}", headers={"If-None-Match": seen[0].headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
