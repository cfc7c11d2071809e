"""Bodies that nobody should send to `/v1/images`: each is refused with the name of its field, and makes no job."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.proxy.openai.pictures import encoded, jobs_in, mask, plain

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"

FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": None}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": "  \n"}, "prompt"),
    ({"prompt": 7}, "prompt"),
    ({"prompt": ["a", "b"]}, "prompt"),
    ({"prompt": {"text": "a"}}, "prompt"),
    ({"prompt": "a" * 100_001}, "prompt"),
    ({"prompt": "é" * 50_001}, "prompt"),
    ({"prompt": "a\x00b"}, "prompt"),
    ({"model": 5}, "model"),
    ({"model": ["txt2img"]}, "model"),
    ({"model": "workflow/"}, "model"),
    ({"model": "workflow/nothing"}, "model"),
    ({"model": "workflow/../txt2img"}, "model"),
    ({"n": 0}, "n"),
    ({"n": 11}, "n"),
    ({"n": -1}, "n"),
    ({"n": 1.5}, "n"),
    ({"n": True}, "n"),
    ({"n": "many"}, "n"),
    ({"n": "1e1"}, "n"),
    ({"n": 10**300}, "n"),
    ({"n": [1]}, "n"),
    ({"size": "big"}, "size"),
    ({"size": "64"}, "size"),
    ({"size": "64x"}, "size"),
    ({"size": "0x0"}, "size"),
    ({"size": "-64x64"}, "size"),
    ({"size": "64x64x64"}, "size"),
    ({"size": "100000x100000"}, "size"),
    ({"size": "99999x64"}, "size"),
    ({"size": "65x64"}, "size"),
    ({"size": "６４x６４"}, "size"),
    ({"size": 1024}, "size"),
    ({"size": {"width": 64}}, "size"),
    ({"quality": "best"}, "quality"),
    ({"quality": 1}, "quality"),
    ({"style": "unheard of"}, "style"),
    ({"style": ["anime"]}, "style"),
    ({"background": "transparent"}, "background"),
    ({"background": "purple"}, "background"),
    ({"background": False}, "background"),
    ({"output_format": "gif"}, "output_format"),
    ({"output_format": "../png"}, "output_format"),
    ({"output_format": 3}, "output_format"),
    ({"output_compression": 101}, "output_compression"),
    ({"output_compression": -1}, "output_compression"),
    ({"output_compression": "half"}, "output_compression"),
    ({"response_format": "file"}, "response_format"),
    ({"response_format": ["url"]}, "response_format"),
    ({"stream": "maybe"}, "stream"),
    ({"stream": 2}, "stream"),
    ({"stream": True, "partial_images": 4}, "partial_images"),
    ({"stream": True, "partial_images": -1}, "partial_images"),
    ({"stream": True, "partial_images": "all"}, "partial_images"),
    ({"stream": True, "steps": 0}, "steps"),
    ({"steps": 151}, "steps"),
    ({"steps": [20]}, "steps"),
    ({"steps": {"a": 1}}, "steps"),
    ({"cfg": "high"}, "cfg"),
    ({"cfg_scale": 1e300}, "cfg"),
    ({"seed": 2**64}, "seed"),
    ({"seed": -2}, "seed"),
    ({"sampler": "no such sampler"}, "sampler"),
    ({"sampler_name": 5.5}, "sampler"),
    ({"negative": ["a"]}, "negative"),
    ({"checkpoint": "../../etc/passwd"}, "checkpoint"),
    ({"batch": 17}, "batch"),
    ({"width": 63, "height": 64}, "width"),
    ({"model": "img2img"}, "image"),
    ({"model": "img2img", "image": "nobody's"}, "image"),
    ({"model": "img2img", "image": "00000000000000000000000000000000"}, "image"),
    ({"model": "img2img", "image": "http://127.0.0.1/a.png"}, "image"),
]

BODIES: list[tuple[bytes, str]] = [
    (b"", "application/json"),
    (b"{", "application/json"),
    (b"[]", "application/json"),
    (b'"a cat"', "application/json"),
    (b"null", "application/json"),
    (b'{"prompt": "a", "n": NaN}', "application/json"),
    (b'{"prompt": "a", "n": 1e999}', "application/json"),
    (b'{"prompt": "a", "prompt": "b"}', "application/json"),
    (b'{"prompt": "\\ud800"}', "application/json"),
    (b'{"prompt": "\xff"}', "application/json"),
    (b'{"prompt": ' + b"[" * 5000 + b"]" * 5000 + b"}", "application/json"),
    (b'{"prompt": "a"}', "text/plain"),
    (b"prompt=a", "application/x-www-form-urlencoded"),
    (b"--x\r\n", "multipart/form-data"),
    (b"--x\r\n", "multipart/form-data; boundary=x"),
    (b"no boundary here", "multipart/form-data; boundary=x"),
]


def bomb() -> bytes:
    """A PNG of 30 kilobytes that says it is 20 000 × 20 000."""
    rows = zlib.compress(b"\0" * 20_001 * 1_000)
    head = (20_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PICTURES: list[tuple[dict[str, bytes], str]] = [
    ({}, "image"),
    ({"mask": mask()}, "image"),
    ({"image": b""}, "image"),
    ({"image": b"not a picture"}, "image"),
    ({"image": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, "image"),
    ({"image": plain()[:-20]}, "image"),
    ({"image": bomb()}, "image"),
    ({"image": plain(), "mask": b"not a picture"}, "mask"),
    ({"image": plain(), "mask": mask(64, 64)}, "mask"),
    ({"image": plain(), "mask": plain()}, "mask"),
    ({"image": plain(), "mask": encoded(Image.new("RGBA", (96, 64), (0, 0, 0, 255)))}, "mask"),
    ({"image": plain(), "markup": plain()}, "markup"),
    ({"image": plain(), "prompt": plain()}, "prompt"),
]


def wrong(answer: httpx.Response, field: str | None) -> str | None:
    """What is wrong with a refusal, if anything."""
    if not 400 <= answer.status_code < 500 or answer.headers["content-type"] != "application/json":
        return f"{answer.status_code} {answer.text[:200]}"
    error = answer.json()["error"]
    return None if error["message"] and field in (None, error["param"]) else json.dumps(error)


async def test_fields_that_hold_what_they_cannot_are_named(api: httpx.AsyncClient) -> None:
    found: dict[str, str] = {}
    for more, field in FIELDS:
        answer = await api.post(GENERATIONS, json={"prompt": "a cat", **more})
        if (problem := wrong(answer, field)) is not None:
            found[str(more)[:100]] = problem
    assert found == {}
    assert await jobs_in(api) == []


@pytest.mark.parametrize("path", [GENERATIONS, EDITS])
async def test_bodies_that_are_none_are_refused(api: httpx.AsyncClient, path: str) -> None:
    found: dict[str, str] = {}
    for body, kind in BODIES:
        answer = await api.post(path, content=body, headers={"content-type": kind})
        if (problem := wrong(answer, None)) is not None:
            found[f"{kind} {body[:60]!r}"] = problem
    assert found == {}
    assert await jobs_in(api) == []


async def test_pictures_that_are_none_are_refused_by_their_field(api: httpx.AsyncClient) -> None:
    found: dict[str, str] = {}
    for files, field in PICTURES:
        named = [(name, ("a.png", data, "image/png")) for name, data in files.items()]
        answer = await api.post(EDITS, data={"prompt": "a cat"}, files=[*named, ("x", (None, b""))])
        if (problem := wrong(answer, field)) is not None:
            found[f"{[(name, len(data)) for name, data in files.items()]}"] = problem
    assert found == {}
    assert await jobs_in(api) == []


async def test_too_many_pictures_and_fields_given_twice_are_refused(api: httpx.AsyncClient) -> None:
    many = [("image[]", ("a.png", plain(8, 8), "image/png"))] * 17
    assert wrong(await api.post(EDITS, data={"prompt": "a cat"}, files=many), None) is None

    twice = [("image", ("a.png", plain(), "image/png")), ("prompt", (None, b"a cat")), ("prompt", (None, b"a dog"))]
    assert wrong(await api.post(EDITS, files=twice), "prompt") is None
    assert await jobs_in(api) == []


async def test_references_that_lead_nowhere_are_refused(api: httpx.AsyncClient) -> None:
    secret = base64.b64encode(b"GIF89a").decode()
    references: list[Any] = [
        [],
        [5],
        [{}],
        [{"image_url": 5}],
        [{"image_url": "http://169.254.169.254/latest/meta-data"}],
        [{"image_url": "file:///etc/passwd"}],
        [{"image_url": f"data:image/png;base64,{secret}"}],
        [{"image_url": "data:image/png;base64,%%%"}],
        [{"file_id": "../../secrets"}],
        [{"file_id": "file-abc123"}],
        "not base64!",
        {"image_url": ""},
    ]
    for reference in references:
        answer = await api.post(EDITS, json={"prompt": "a cat", "images": reference})
        problem = wrong(answer, None)
        assert problem is None and answer.json()["error"]["param"] in ("image", "images"), (reference, answer.text)
    assert await jobs_in(api) == []


async def test_a_template_without_a_place_for_a_picture_says_so(api: httpx.AsyncClient) -> None:
    files = {"image": ("a.png", plain(), "image/png"), "mask": ("m.png", mask(), "image/png")}
    for model, field in (("txt2img", "image"), ("img2img", "mask"), ("upscale", "mask")):
        answer = await api.post(EDITS, data={"prompt": "a cat", "model": model}, files=files)
        assert wrong(answer, field) is None, answer.text
    assert await jobs_in(api) == []
