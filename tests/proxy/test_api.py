"""`/api/v1` over a real socket and a real engine: what programs see, and what bad input gets them."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import pytest

from tests.workbenches import served

SMALL = {"prompt": "a red house", "width": 64, "height": 64, "steps": 2, "seed": 7}


async def finished(http: httpx.AsyncClient, job: str) -> dict[str, Any]:
    with anyio.fail_after(30):
        while True:
            told = (await http.get(f"/api/v1/jobs/{job}")).json()
            if told["state"] not in ("queued", "running"):
                return told
            await anyio.sleep(0.05)


async def test_a_job_from_post_to_picture(api: httpx.AsyncClient) -> None:
    created = await api.post("/api/v1/jobs", json={"template": "txt2img", "values": SMALL, "style": "cinematic"})

    assert created.status_code == 202
    assert created.headers["location"] == f"/api/v1/jobs/{created.json()['id']}"
    job = await finished(api, created.json()["id"])
    assert job["state"] == "succeeded", job
    assert (job["template"], job["style"], job["values"]["seed"]) == ("txt2img", "cinematic", 7)
    (asset,) = job["assets"]
    assert (asset["mime"], asset["width"], asset["height"]) == ("image/png", 64, 64)
    picture = await api.get(asset["url"])
    assert picture.headers["content-type"] == "image/png"
    assert len(picture.content) == asset["bytes"]
    assert "sandbox" in picture.headers["content-security-policy"]
    again = await api.get(asset["url"], headers={"if-none-match": picture.headers["etag"]})
    assert again.status_code == 304


async def test_the_same_key_never_makes_a_second_job(api: httpx.AsyncClient) -> None:
    body = {"template": "txt2img", "values": {"prompt": "a cat", **SMALL}}
    headers = {"idempotency-key": "only-once"}

    first = await api.post("/api/v1/jobs", json=body, headers=headers)
    again = await api.post("/api/v1/jobs", json=body, headers=headers)
    other = await api.post("/api/v1/jobs", json={**body, "style": "anime"}, headers=headers)

    assert first.json()["id"] == again.json()["id"]
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")


async def test_events_tell_of_progress_and_the_end(api: httpx.AsyncClient) -> None:
    created = await api.post("/api/v1/jobs", json={"template": "txt2img", "values": {**SMALL, "seed": -1, "steps": 12}})
    events: list[tuple[str, dict[str, Any]]] = []
    name = ""
    async with api.stream("GET", f"/api/v1/jobs/{created.json()['id']}/events") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                events.append((name, json.loads(line[6:])))

    assert [kind for kind, _ in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[-1][0] == "end" and events[-1][1]["state"] == "succeeded"
    fractions = [told["progress"]["fraction"] for _, told in events]
    assert fractions == sorted(fractions)


async def test_a_cancelled_job_ends_cancelled(slow_api: httpx.AsyncClient) -> None:
    running = (
        await slow_api.post("/api/v1/jobs", json={"template": "txt2img", "values": {**SMALL, "seed": -1, "steps": 150}})
    ).json()
    queued = (await slow_api.post("/api/v1/jobs", json={"template": "txt2img", "values": SMALL})).json()

    assert (await slow_api.delete(f"/api/v1/jobs/{queued['id']}")).json()["state"] == "cancelled"
    with anyio.fail_after(20):
        while (await slow_api.get(f"/api/v1/jobs/{running['id']}")).json()["state"] == "queued":
            pass
    await slow_api.delete(f"/api/v1/jobs/{running['id']}")

    assert (await finished(slow_api, running["id"]))["state"] == "cancelled"


async def test_a_picture_is_uploaded_and_used(api: httpx.AsyncClient, picture: bytes) -> None:
    raw = await api.post("/api/v1/assets", content=picture, headers={"content-type": "image/png"})
    form = await api.post("/api/v1/assets", files={"file": ("x.png", picture, "image/png")})
    assert (raw.status_code, form.status_code) == (201, 201)

    values = {"prompt": "a blue house", "image": raw.json()["id"], "steps": 2}
    created = await api.post("/api/v1/jobs", json={"template": "img2img", "values": values})

    assert created.status_code == 202, created.text
    assert (await finished(api, created.json()["id"]))["state"] == "succeeded"


BAD: dict[str, tuple[bytes, int, str]] = {
    "no JSON": (b"prompt", 400, "not JSON"),
    "NaN": (b'{"template": "txt2img", "values": {"prompt": "x", "cfg": NaN}}', 400, "NaN"),
    "1e400": (b'{"template": "txt2img", "values": {"prompt": "x", "cfg": 1e400}}', 400, "finite"),
    "half a surrogate": (b'{"template": "txt2img", "values": {"prompt": "\\ud800"}}', 400, "character"),
    "a list": (b"[]", 400, "template"),
    "an unknown key": (b'{"template": "txt2img", "graph": {}}', 400, "graph"),
    "an unknown template": (b'{"template": "txt2image", "values": {}}', 404, "txt2img"),
    "an unknown style": (
        b'{"template": "txt2img", "values": {"prompt": "x"}, "style": "cinemattic"}',
        404,
        "cinematic",
    ),
    "an unknown parameter": (b'{"template": "txt2img", "values": {"prompt": "x", "step": 3}}', 422, "steps"),
    "out of range": (b'{"template": "txt2img", "values": {"prompt": "x", "steps": 100000}}', 422, "steps"),
    "a wrong type": (b'{"template": "txt2img", "values": {"prompt": "x", "steps": "many"}}', 422, "steps"),
    "a misspelt scheduler": (
        b'{"template": "txt2img", "values": {"prompt": "x", "scheduler": "karas"}}',
        422,
        "karras",
    ),
    "a missing checkpoint": (
        b'{"template": "txt2img", "values": {"prompt": "x", "checkpoint": "nope"}}',
        422,
        "checkpoint",
    ),
    "no prompt": (b'{"template": "txt2img", "values": {}}', 422, "prompt"),
    "a picture nobody has": (b'{"template": "img2img", "values": {"prompt": "x", "image": "nope"}}', 422, "image"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_requests_say_what_to_do(api: httpx.AsyncClient, name: str) -> None:
    body, status, told = BAD[name]
    before = len((await api.get("/api/v1/jobs", params={"limit": 200})).json()["jobs"])

    answer = await api.post("/api/v1/jobs", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert told in json.dumps(error, ensure_ascii=False)
    assert error["hint"]
    assert len((await api.get("/api/v1/jobs", params={"limit": 200})).json()["jobs"]) == before


async def test_a_prompt_of_300_kilobytes_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/jobs", json={"template": "txt2img", "values": {"prompt": "x" * 300_000}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/jobs/nope"),
        ("DELETE", "/api/v1/jobs/nope"),
        ("GET", "/api/v1/jobs/nope/events"),
        ("GET", "/api/v1/assets/nope"),
        ("GET", "/api/v1/assets/..%2f..%2fetc%2fpasswd"),
        ("GET", "/api/v1/templates/nope"),
        ("GET", "/.well-known/oauth-protected-resource"),
        ("GET", "/nowhere"),
    ],
)
async def test_what_is_not_there_is_not_found(api: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await api.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]


async def test_bad_pictures_are_refused(api: httpx.AsyncClient, picture: bytes) -> None:
    for body in (b"", b"<svg onload=alert(1)>", picture[: len(picture) // 2]):
        answer = await api.post("/api/v1/assets", content=body, headers={"content-type": "image/png"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_image")


async def test_without_comfyui_a_job_is_refused_with_what_to_do(tmp_path: Any) -> None:
    async with served(tmp_path, comfyui="http://127.0.0.1:9") as api:
        answer = await api.post("/api/v1/jobs", json={"template": "txt2img", "values": SMALL})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")
        assert answer.json()["error"]["hint"]
        assert (await api.get("/api/v1/templates")).status_code == 200
        assert (await api.get("/healthz")).json()["status"] == "ok"


async def test_templates_are_described_with_live_choices(api: httpx.AsyncClient) -> None:
    listed = (await api.get("/api/v1/templates")).json()
    assert {template["id"] for template in listed["templates"]} >= {"txt2img", "img2img", "inpaint", "upscale"}
    assert len(listed["styles"]) >= 12
    told = (await api.get("/api/v1/templates/txt2img")).json()
    scheduler = next(parameter for parameter in told["parameters"] if parameter["name"] == "scheduler")
    assert "karras" in scheduler["choices"]


async def test_the_description_of_the_api_is_whole(api: httpx.AsyncClient) -> None:
    described = (await api.get("/openapi.json")).json()
    assert {"/api/v1/jobs", "/api/v1/jobs/{job}", "/api/v1/jobs/{job}/events", "/api/v1/assets"} <= set(
        described["paths"]
    )
    body = described["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["examples"]
