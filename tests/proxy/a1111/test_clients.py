"""What chat front ends really send and read, each as in its own source.

LibreChat: `api/app/clients/tools/structured/StableDiffusion.js`. Open WebUI: `backend/open_webui/routers/images.py`,
engine automatic1111. SillyTavern: `src/endpoints/stable-diffusion.js` and its extension stable-diffusion.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.proxy.a1111.conftest import Front, Serve, decoded

LIBRECHAT: dict[str, Any] = {
    "prompt": "a lighthouse at dusk, oil painting, detailed, warm light, waves, cliffs, gulls",
    "negative_prompt": "blurry, low quality, text, watermark, people, boats, frame",
    "cfg_scale": 4.5,
    "steps": 22,
    "width": 1024,
    "height": 1024,
}

SILLYTAVERN: dict[str, Any] = {
    "url": "http://127.0.0.1:8190",
    "auth": "someone:a password of hers",
    "prompt": "best quality, a lighthouse",
    "negative_prompt": "lowres, bad anatomy",
    "sampler_name": "DPM++ 2M",
    "scheduler": "karras",
    "steps": 20,
    "cfg_scale": 7,
    "width": 512,
    "height": 512,
    "restore_faces": False,
    "enable_hr": False,
    "hr_upscaler": "Latent",
    "hr_scale": 2,
    "denoising_strength": 0.7,
    "hr_second_pass_steps": 0,
    "override_settings": {"CLIP_stop_at_last_layers": 1},
    "override_settings_restore_afterwards": True,
    "clip_skip": 1,
    "save_images": True,
    "send_images": True,
    "do_not_save_grid": False,
    "do_not_save_samples": False,
}


@pytest.mark.requirement("R21")
async def test_the_tool_of_librechat_gets_its_picture(front: Front) -> None:
    response = await front.client.post("/sdapi/v1/txt2img", json=LIBRECHAT)
    data = response.json()
    image = data["images"][0]
    assert not image.startswith("data:")
    buffer = base64.b64decode(image.split(",", 1)[0], validate=True)
    assert decoded(base64.b64encode(buffer).decode()).size == (1024, 1024)
    info = json.loads(data["info"])
    assert (info["width"], info["height"]) == (1024, 1024)
    assert info["seed"] > 0
    facts = info["infotexts"][0].split("\n").pop()
    assert facts.startswith("Steps: 22, ")
    assert f"Seed: {info['seed']}, Size: 1024x1024" in facts


@pytest.mark.requirement("R21")
async def test_what_librechat_always_sends_gives_way_to_preset_and_lock(serve: Serve, embedded_url: str) -> None:
    async with serve(embedded_url, locked={"txt2img": {"width": 256, "height": 192}}) as front:
        answer = await front.made("txt2img", LIBRECHAT, x_comfy_steps="9")
        assert (answer["info"]["width"], answer["info"]["height"]) == (256, 192)
        assert (answer["info"]["steps"], answer["info"]["cfg_scale"]) == (9, 4.5)
        assert "steps is 9 by your settings, not 22." in answer["info"]["notes"]


@pytest.mark.parametrize("authorization", ["", "Basic dXNlcjpwYXNzd29yZA=="])
@pytest.mark.requirement("R21")
async def test_the_engine_of_open_webui_works(front: Front, authorization: str) -> None:
    headers = {"authorization": authorization}
    http = front.client
    verified = await http.get("/sdapi/v1/options", headers=headers)
    verified.raise_for_status()
    listed = (await http.get("/sdapi/v1/sd-models", headers=headers)).json()
    models = [{"id": model["title"], "name": model["model_name"]} for model in listed]
    assert models == [
        {"id": "procedural-sd15.safetensors", "name": "procedural-sd15"},
        {"id": "procedural-xl.safetensors", "name": "procedural-xl"},
    ]
    options = (await http.get("/sdapi/v1/options", headers=headers)).json()
    assert options["sd_model_checkpoint"] == models[0]["id"]
    options["sd_model_checkpoint"] = models[1]["id"]
    (await http.post("/sdapi/v1/options", json=options, headers=headers)).raise_for_status()

    data = {"prompt": "a cat", "batch_size": 2, "width": 256, "height": 256, "steps": 3, "negative_prompt": "dogs"}
    # AUTOMATIC1111_PARAMS, which an administrator types as JSON.
    data |= {"cfg_scale": 5, "sampler_name": "Euler a", "scheduler": "Karras"}
    res = (await http.post("/sdapi/v1/txt2img", json=data, headers=headers)).json()
    assert [decoded(image).size for image in res["images"]] == [(256, 256)] * 2
    assert res["info"]
    values = await front.values()
    assert values["checkpoint"] == "procedural-xl.safetensors"
    assert (values["sampler"], values["scheduler"], values["batch"]) == ("euler_ancestral", "karras", 2)


async def listed_by_sillytavern(http: httpx.AsyncClient, path: str, key: str) -> list[str]:
    result = await http.get(f"/sdapi/v1/{path}", headers={"Authorization": "Basic Og=="})
    assert result.status_code == 200
    return [each[key] for each in result.json()]


@pytest.mark.requirement("R21")
async def test_sillytavern_fills_its_menus(front: Front) -> None:
    http = front.client
    upscalers = await listed_by_sillytavern(http, "upscalers", "name")
    # The latent ones are put behind the first, which must be the one that stands for none.
    upscalers[1:1] = await listed_by_sillytavern(http, "latent-upscale-modes", "name")
    assert upscalers == ["None", "procedural-x4"]
    assert {"Euler a", "DPM++ 2M", "DDIM", "res_multistep"} <= set(
        await listed_by_sillytavern(http, "samplers", "name")
    )
    assert {"automatic", "karras", "linear_quadratic"} <= set(await listed_by_sillytavern(http, "schedulers", "name"))
    assert "procedural-sd15.safetensors" in await listed_by_sillytavern(http, "sd-models", "title")
    assert await listed_by_sillytavern(http, "sd-vae", "model_name") == []


@pytest.mark.requirement("R21")
async def test_sillytavern_sets_a_model_and_waits_until_it_is_loaded(front: Front) -> None:
    told = await front.post("options", {"sd_model_checkpoint": "procedural-xl.safetensors"})
    assert told.status_code == 200
    progress = await front.get("progress")
    assert (progress["progress"], progress["state"]["job_count"]) == (0.0, 0)
    assert (await front.get("options"))["sd_model_checkpoint"] == "procedural-xl.safetensors"


@pytest.mark.requirement("R21")
async def test_sillytavern_paints(front: Front) -> None:
    answer = await front.made("txt2img", SILLYTAVERN)
    assert decoded(answer["images"][0]).size == (512, 512)
    values = await front.values()
    assert (values["sampler"], values["scheduler"], values["cfg"], values["steps"]) == ("dpmpp_2m", "karras", 7.0, 20)
    # Its strength is meant for the second pass, and would spoil the first.
    assert values["denoise"] == 1.0
    assert answer["info"]["notes"] == ["procedural preview, not a diffusion model"]


@pytest.mark.requirement("R21")
async def test_a_password_that_sillytavern_sends_along_is_not_told_back(front: Front) -> None:
    answer = await front.post("txt2img", {**SILLYTAVERN, "width": 64, "height": 64, "steps": 1})
    assert "a password of hers" not in answer.text
    assert answer.json()["parameters"]["cfg_scale"] == 7


@pytest.mark.parametrize("path", ["//sdapi/v1/txt2img", "/sdapi/v1/txt2img/", "//sdapi/v1/txt2img/"])
@pytest.mark.requirement("R21")
async def test_slashes_too_many_do_no_harm_and_need_no_redirect(front: Front, path: str) -> None:
    address = str(front.client.base_url).rstrip("/") + path
    body = {"prompt": "a cat", "steps": 1, "width": 64, "height": 64}
    answer = await front.client.post(address, json=body, follow_redirects=False)
    assert decoded(answer.json()["images"][0]).size == (64, 64)
    refused = await front.client.post(address, json={"steps": "many"}, follow_redirects=False)
    assert (refused.status_code, refused.json()["error"]) == (422, "invalid_parameter")
