"""Bodies that are none: each is refused with the reason, in the words of A1111, and no job comes of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.proxy.a1111.conftest import Front, Serve

PAINTING: list[tuple[str, Any]] = [
    ("steps as a list", {"steps": [20]}),
    ("steps as an object", {"steps": {"value": 20}}),
    ("steps as words", {"steps": "twenty"}),
    ("steps as truth", {"steps": True}),
    ("steps of half", {"steps": 2.5}),
    ("no steps", {"steps": 0}),
    ("steps below none", {"steps": -1}),
    ("steps without end", {"steps": 10**30}),
    ("a strength of words", {"cfg_scale": "much"}),
    ("a strength beyond all", {"cfg_scale": 1e300}),
    ("a width of none", {"width": 0}),
    ("a width beyond all", {"width": 10**9}),
    ("a width as a list", {"width": [512]}),
    ("a height below none", {"height": -512}),
    ("a seed below minus one", {"seed": -2}),
    ("a seed beyond all", {"seed": 2**64}),
    ("a seed of words", {"seed": "lucky"}),
    ("a seed as an object", {"seed": {}}),
    ("a prompt as a number", {"prompt": 7}),
    ("a prompt as a list", {"prompt": ["a", "b"]}),
    ("a prompt of false", {"prompt": False}),
    ("a prompt with a control character", {"prompt": "a\x00b"}),
    ("a prompt without end", {"prompt": "x" * 200_000}),
    ("a negative prompt as an object", {"negative_prompt": {"text": "x"}}),
    ("seventeen pictures", {"batch_size": 17}),
    ("many rounds of many", {"batch_size": 4, "n_iter": 5}),
    ("rounds without end", {"n_iter": 10**30}),
    ("no pictures", {"batch_size": 0}),
    ("rounds below none", {"n_iter": -1}),
    ("pictures of half", {"batch_size": 1.5}),
    ("pictures as a list", {"batch_size": [1]}),
    ("rounds as truth", {"n_iter": True}),
    ("rounds as words", {"n_iter": "a few"}),
    ("a checkpoint of another folder", {"override_settings": {"sd_model_checkpoint": "../../../etc/passwd"}}),
    ("a checkpoint that is none", {"override_settings": {"sd_model_checkpoint": "dreams"}}),
]

PICTURES: list[tuple[str, str, Any]] = [
    ("no picture to start from", "img2img", {"prompt": "x"}),
    ("an empty list of pictures", "img2img", {"init_images": []}),
    ("null among the pictures", "img2img", {"init_images": [None]}),
    ("an object among the pictures", "img2img", {"init_images": [{"image": "x"}]}),
    ("an empty picture", "img2img", {"init_images": [""]}),
    ("words for a picture", "img2img", {"init_images": ["not base64 at all"]}),
    ("base64 of no picture", "img2img", {"init_images": ["AAAA"]}),
    ("an address of a file", "img2img", {"init_images": ["file:///etc/passwd"]}),
    ("markup for a picture", "img2img", {"init_images": [base64.b64encode(b"<svg onload=x/>").decode()]}),
    ("a mask as a number", "img2img", {"init_images": ["PICTURE"], "mask": 7}),
    ("a mask that is no picture", "img2img", {"init_images": ["PICTURE"], "mask": "AAAA"}),
    ("a mask as a list", "img2img", {"init_images": ["PICTURE"], "mask": ["PICTURE"]}),
    ("a strength beyond one", "img2img", {"init_images": ["PICTURE"], "denoising_strength": 1.5}),
    ("nothing to upscale", "extra-single-image", {}),
    ("words to upscale", "extra-single-image", {"image": "words"}),
    ("a factor of none", "extra-single-image", {"image": "PICTURE", "upscaling_resize": 0}),
    ("a factor of words", "extra-single-image", {"image": "PICTURE", "upscaling_resize": "big"}),
    ("a factor as a list", "extra-single-image", {"image": "PICTURE", "upscaling_resize": [2]}),
    ("a factor beyond all", "extra-single-image", {"image": "PICTURE", "upscaling_resize": 10**400 - 1}),
    ("a size below none", "extra-single-image", {"image": "PICTURE", "resize_mode": 1, "upscaling_resize_w": -5}),
    ("no list to upscale", "extra-batch-images", {"imageList": "PICTURE"}),
    ("an empty list to upscale", "extra-batch-images", {"imageList": []}),
    ("seventeen to upscale", "extra-batch-images", {"imageList": [{"data": "PICTURE", "name": "x"}] * 17}),
    ("one of a list that is no picture", "extra-batch-images", {"imageList": [{"data": "PICTURE"}, {"name": "x"}]}),
    ("nothing to read", "png-info", {}),
    ("a number to read", "png-info", {"image": 5}),
    ("words to read", "png-info", {"image": "words"}),
]

RAW: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "application/json"),
    ("a list", b"[]", "application/json"),
    ("a text", b'"a cat"', "application/json"),
    ("half an object", b'{"prompt": "a cat"', "application/json"),
    ("no number", b'{"prompt": "x", "steps": NaN}', "application/json"),
    ("a number beyond all", b'{"prompt": "x", "cfg_scale": 1e400}', "application/json"),
    ("a key given twice", b'{"prompt": "x", "prompt": "y"}', "application/json"),
    ("half a character", b'{"prompt": "\\ud83d"}', "application/json"),
    ("no utf-8", b'{"prompt": "\xff"}', "application/json"),
    ("a deep one", b'{"a":' * 100 + b"1" + b"}" * 100, "application/json"),
    ("a form", b"prompt=a+cat", "application/x-www-form-urlencoded"),
    ("plain text", b'{"prompt": "x"}', "text/plain"),
]


def faults(answer: httpx.Response) -> str | None:
    """What is wrong with a refusal; None when nothing is."""
    told = answer.json()
    as_a1111 = told.keys() == {"error", "detail", "body", "errors"} and bool(told["detail"])
    return None if 400 <= answer.status_code < 500 and as_a1111 else f"{answer.status_code} {answer.text[:300]}"


async def test_bad_values_make_no_jobs(front: Front) -> None:
    found = {name: faults(await front.post("txt2img", {"prompt": "a cat", **body})) for name, body in PAINTING}
    assert found == dict.fromkeys(found)
    assert len(found) == len(PAINTING)
    assert await front.workbench.jobs() == []


def with_picture(told: Any, b64: str) -> Any:
    return json.loads(json.dumps(told).replace("PICTURE", b64))


async def test_bad_pictures_make_no_jobs(front: Front, b64: str) -> None:
    found = {name: faults(await front.post(path, with_picture(body, b64))) for name, path, body in PICTURES}
    assert found == dict.fromkeys(found)
    assert len(found) == len(PICTURES)
    assert await front.workbench.jobs() == []


@pytest.mark.parametrize("path", ["txt2img", "img2img", "extra-single-image", "png-info", "options"])
async def test_bodies_that_are_no_objects_make_no_jobs(front: Front, path: str) -> None:
    found: dict[str, str | None] = {}
    for name, content, kind in RAW:
        headers = {"content-type": kind}
        found[name] = faults(await front.client.post(f"/sdapi/v1/{path}", content=content, headers=headers))
    assert found == dict.fromkeys(found)
    assert await front.workbench.jobs() == []


async def test_odd_but_harmless_shapes_are_read_as_absent(front: Front) -> None:
    odd = {
        "styles": {"a": 1},
        "override_settings": [1],
        "sampler_name": 5,
        "scheduler": ["karras"],
        "alwayson_scripts": 3,
    }
    await front.made("txt2img", {"prompt": "a cat", "steps": 1, "width": 64, "height": 64, **odd})


async def test_without_a_comfyui_the_reason_is_told(serve: Serve) -> None:
    async with serve("http://127.0.0.1:9") as front:
        answer = await front.post("txt2img", {"prompt": "a cat"})
        assert (answer.status_code, answer.json()["error"]) == (503, "backend_unavailable")
        assert await front.workbench.jobs() == []


async def test_a_setting_that_names_no_template_is_told(serve: Serve, embedded_url: str) -> None:
    async with serve(embedded_url, a1111={"txt2img": "no_such"}) as front:
        answer = await front.post("txt2img", {"prompt": "a cat"})
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
