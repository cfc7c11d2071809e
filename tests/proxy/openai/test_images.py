"""`/v1/images/generations` as each client sends it, and what it reads of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_mcp.jobs import Preset
from comfy_mcp.proxy import listening
from comfy_mcp.workbench import Workbench
from tests.proxy.openai.pictures import jobs_in, only, shown
from tests.workbenches import served, settings_for

GENERATIONS = "/v1/images/generations"
SMALL: dict[str, Any] = {"prompt": "a red house", "size": "64x64", "steps": 2}


@pytest.mark.requirement("R22")
@pytest.mark.parametrize(("kind", "most"), [("png", {}), ("webp", {"output_compression": 100}), ("jpeg", {})])
async def test_librechat_gets_its_output_format(api: httpx.AsyncClient, kind: str, most: dict[str, Any]) -> None:
    """OpenAIImageTools.js, `openai.images.generate`; the picture is labelled as the format that was asked for."""
    body = {"model": "gpt-image-1", "prompt": "a red house", "n": 1, "background": "auto", "output_format": kind}
    answer = await api.post(GENERATIONS, json={**body, **most, "quality": "auto", "size": "1024x1024"})

    picture = shown(only(answer)["b64_json"])
    assert (picture.format, picture.size) == (kind.upper(), (1024, 1024))
    told = answer.json()
    assert (told["output_format"], told["size"], told["background"]) == (kind, "1024x1024", "opaque")
    assert isinstance(told["created"], int) and told["usage"]["total_tokens"] == 0


@pytest.mark.requirement("R22")
async def test_the_dalle_tool_of_librechat_gets_a_link_that_it_can_fetch(api: httpx.AsyncClient) -> None:
    """DALLE3.js reads `data[0].url` and fetches it without a token."""
    body = {"model": "dall-e-3", "quality": "standard", "style": "vivid", "size": "256x256", "prompt": "a cat", "n": 1}
    url = only(await api.post(GENERATIONS, json=body))["url"]

    assert url.startswith(str(api.base_url))
    fetched = await api.get(url)
    assert fetched.headers["content-type"] == "image/png"
    assert shown(fetched.content).size == (256, 256)


@pytest.mark.requirement("R22")
async def test_lobehub_gets_base64_and_its_own_names_count(api: httpx.AsyncClient) -> None:
    """openaiCompatibleFactory/createImage.ts: every parameter of its form goes into the body unchanged."""
    form = {"prompt": "a cat", "width": 128, "height": 64, "cfg": 5.5, "steps": 3, "seed": 7, "samplerName": "euler"}
    body = {"model": "dall-e-3", "n": 1, "response_format": "b64_json", **form, "imageUrl": None, "promptExtend": True}
    answer = await api.post(GENERATIONS, json=body)

    assert shown(only(answer)["b64_json"]).size == (128, 64)
    (job,) = await jobs_in(api)
    values = job["values"]
    assert [values[name] for name in ("cfg", "steps", "seed", "sampler")] == [5.5, 3, 7, "euler"]


@pytest.mark.requirement("R22")
async def test_open_webui_gets_base64_and_its_extra_parameters_count(api: httpx.AsyncClient) -> None:
    """routers/images.py, `image_generations`, with IMAGES_OPENAI_API_PARAMS of an administrator."""
    body = {"model": "dall-e-2", "prompt": "a cat", "n": 2, "size": "64x64", "response_format": "b64_json"}
    answer = await api.post(GENERATIONS, json={**body, "steps": 2, "negative_prompt": "dogs", "cfg_scale": 3})

    assert [shown(each["b64_json"]).size for each in answer.json()["data"]] == [(64, 64)] * 2
    (job,) = await jobs_in(api)
    assert (job["values"]["batch"], job["values"]["negative"], job["values"]["cfg"]) == (2, "dogs", 3)


async def test_without_a_size_the_template_decides(api: httpx.AsyncClient) -> None:
    for more in ({}, {"size": "auto"}, {"size": None}):
        answer = await api.post(GENERATIONS, json={"prompt": "a cat", "steps": 1, **more})
        assert answer.json()["size"] == "1024x1024"


async def test_a_link_is_in_the_output_format_too(api: httpx.AsyncClient) -> None:
    body = {**SMALL, "response_format": "url", "output_format": "webp"}
    fetched = await api.get(only(await api.post(GENERATIONS, json=body))["url"])

    assert fetched.headers["content-type"] == "image/webp"
    assert shown(fetched.content).format == "WEBP"


async def test_compression_makes_it_smaller(api: httpx.AsyncClient) -> None:
    body = {**SMALL, "size": "512x512", "seed": 1, "output_format": "jpeg"}
    fine = only(await api.post(GENERATIONS, json={**body, "output_compression": 95}))["b64_json"]
    coarse = only(await api.post(GENERATIONS, json={**body, "output_compression": 5}))["b64_json"]
    assert len(coarse) < len(fine) / 2


async def test_a_template_is_named_as_the_model(api: httpx.AsyncClient) -> None:
    for model in ("workflow/txt2img_lora", "txt2img_lora"):
        answer = await api.post(GENERATIONS, json={**SMALL, "model": model})
        assert answer.status_code == 200, answer.text
    assert {job["template"] for job in await jobs_in(api)} == {"txt2img_lora"}


@pytest.mark.parametrize(("style", "kept"), [("anime", "anime"), ("vivid", None), ("natural", None)])
async def test_a_style_of_ours_counts_and_openais_words_do_not(
    api: httpx.AsyncClient, style: str, kept: str | None
) -> None:
    assert (await api.post(GENERATIONS, json={**SMALL, "style": style})).status_code == 200
    assert (await jobs_in(api))[-1]["style"] == kept


async def test_the_settings_say_which_template_serves(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url, images={"txt2img": "txt2img_lora"}) as client:
        assert (await client.post(GENERATIONS, json=SMALL)).status_code == 200
        assert [job["template"] for job in await jobs_in(client)] == ["txt2img_lora"]


async def test_a_preset_wins_and_a_quality_names_another(tmp_path: Path, embedded_url: str) -> None:
    async with (
        Workbench.open(settings_for(tmp_path, embedded_url, images={"call_sets": ["cfg"]})) as workbench,
        listening(workbench) as address,
        httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as client,
    ):
        await workbench.presets.save(Preset("txt2img", "mine", {"steps": 3, "cfg": 9.0}, default=True))
        await workbench.presets.save(Preset("txt2img", "high", {"steps": 5}))
        for quality in ("auto", "low", "high"):
            answer = await client.post(GENERATIONS, json={**SMALL, "quality": quality, "cfg": 4.0})
            assert answer.json().get("quality") == (None if quality == "auto" else quality)

        values = [job["values"] for job in await jobs_in(client)]
        assert [each["steps"] for each in values] == [3, 3, 5]
        assert [each["cfg"] for each in values] == [4.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "opaque"),
        ({"background": "transparent"}, "transparent"),
        ({"background": "transparent", "output_format": "webp"}, "transparent"),
        ({"background": "transparent", "output_format": "jpeg"}, "opaque"),
    ],
)
async def test_the_background_is_told_as_it_was_made(
    tmp_path: Path, embedded_url: str, asked: dict[str, Any], told: str
) -> None:
    folder = tmp_path / "templates" / "cutout"
    folder.mkdir(parents=True)
    (folder / "workflow.json").write_text(CUTOUT)
    (folder / "manifest.toml").write_text(CUTOUT_MANIFEST)
    async with served(tmp_path, embedded_url) as client:
        body = {"prompt": "a cat", "model": "workflow/cutout", **asked}
        answer = await client.post(GENERATIONS, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["background"] == told
        events = (await client.post(GENERATIONS, json={**body, "stream": True})).text
    assert f'"background":"{told}"' in events


async def test_a_workflow_that_is_not_there_is_a_model_that_is_not_found(api: httpx.AsyncClient) -> None:
    """As in a chat, by the one code that OpenAI's clients act on."""
    messages = [{"role": "user", "content": "a cat"}]
    for path, body in ((GENERATIONS, SMALL), ("/v1/chat/completions", {"messages": messages})):
        refused = await api.post(path, json={**body, "model": "workflow/txt2imgs"})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
        assert "workflow/txt2img" in error["message"]


CUTOUT = """{
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "opaque"}}
}"""
CUTOUT_MANIFEST = """
title = "Cutout"
description = "A square."
[parameters.background]
type = "enum"
choices = ["opaque", "transparent"]
default = "opaque"
bind = "SaveImage#2.filename_prefix"
"""
