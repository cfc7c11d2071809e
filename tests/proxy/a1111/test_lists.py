"""The lists, options and orders of A1111: their shapes, and that they answer when no ComfyUI does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.proxy.a1111.conftest import Front, Serve

NOWHERE = "http://127.0.0.1:9"
SHAPES: dict[str, set[str]] = {
    "sd-models": {"title", "model_name", "hash", "sha256", "filename", "config"},
    "samplers": {"name", "aliases", "options"},
    "schedulers": {"name", "label", "aliases", "default_rho", "need_inner_model"},
    "upscalers": {"name", "model_name", "model_path", "model_url", "scale"},
    "prompt-styles": {"name", "prompt", "negative_prompt"},
}
CONSTANT: dict[str, Any] = {
    "latent-upscale-modes": [],
    "hypernetworks": [],
    "face-restorers": [],
    "realesrgan-models": [],
    "embeddings": {"loaded": {}, "skipped": {}},
    "scripts": {"txt2img": [], "img2img": []},
    "script-info": [],
    "extensions": [],
}
EVERY = [*SHAPES, *CONSTANT, "sd-vae", "loras", "options", "progress", "cmd-flags", "memory"]


@pytest.mark.parametrize("path", SHAPES)
async def test_lists_have_the_shape_of_a1111(front: Front, path: str) -> None:
    listed = await front.get(path)
    assert listed
    assert all(each.keys() == SHAPES[path] for each in listed)


@pytest.mark.parametrize("path", CONSTANT)
async def test_what_comfyui_has_nothing_like_is_empty(front: Front, path: str) -> None:
    assert await front.get(path) == CONSTANT[path]


async def test_no_list_tells_of_this_machine(front: Front, tmp_path: Path) -> None:
    told = str([await front.get(path) for path in EVERY])
    assert str(tmp_path) not in told
    assert "/root" not in told
    assert "/home" not in told


async def test_names_of_a1111_come_first_and_those_of_comfyui_alone_follow(front: Front) -> None:
    names = [each["name"] for each in await front.get("samplers")]
    assert names.index("Euler a") < names.index("res_multistep")
    assert "euler_ancestral" not in names
    assert "Restart" not in names
    schedulers = {each["name"]: each["label"] for each in await front.get("schedulers")}
    assert schedulers["sgm_uniform"] == "SGM Uniform"
    assert "align_your_steps" not in schedulers


async def test_what_is_listed_is_what_the_workflow_takes(serve: Serve, embedded_url: str) -> None:
    async with serve(embedded_url, a1111={"txt2img": "txt2img_lora"}) as front:
        assert [each["name"] for each in await front.get("loras")] == ["procedural-detail", "procedural-style"]
        assert (await front.get("loras"))[0].keys() == {"name", "alias", "path", "metadata"}
    async with serve(embedded_url, a1111={"txt2img": "txt2img_dit"}) as front:
        assert await front.get("loras") == []
        assert [each["title"] for each in await front.get("sd-models")] == ["procedural-dit.safetensors"]
        assert await front.get("sd-vae") == [
            {"model_name": "procedural-vae.safetensors", "filename": "procedural-vae.safetensors"}
        ]


async def test_styles_are_told_with_their_place_for_the_prompt(front: Front) -> None:
    styles = {each["name"]: each for each in await front.get("prompt-styles")}
    assert "{prompt}" in styles["anime"]["prompt"]
    assert "photo" in styles["anime"]["negative_prompt"]


async def test_without_a_comfyui_every_list_answers(serve: Serve) -> None:
    async with serve(NOWHERE) as front:
        for path in EVERY:
            await front.get(path)
        assert await front.get("sd-models") == []
        assert (await front.get("options"))["sd_model_checkpoint"] == ""
        assert "Euler a" in [each["name"] for each in await front.get("samplers")]


@pytest.mark.parametrize("order", ["refresh-checkpoints", "refresh-vae", "reload-checkpoint", "unload-checkpoint"])
async def test_orders_that_have_nothing_to_do_are_taken(front: Front, order: str) -> None:
    answer = await front.client.post(f"/sdapi/v1/{order}")
    assert (answer.status_code, answer.json()) == (200, {} if order.endswith("load-checkpoint") else None)


@pytest.mark.parametrize("path", ["server-kill", "train/embedding", "interrogate", "nothing"])
async def test_what_is_not_offered_says_so_as_a1111_does(front: Front, path: str) -> None:
    answer = await front.client.post(f"/sdapi/v1/{path}", json={})
    assert answer.status_code == 404
    assert answer.json().keys() == {"error", "detail", "body", "errors"}


@pytest.mark.parametrize(
    "title", ["procedural-xl.safetensors [31e35c80fc]", "procedural-xl", "PROCEDURAL-XL.safetensors"]
)
async def test_a_checkpoint_is_remembered_by_any_of_its_names(front: Front, title: str) -> None:
    assert (await front.post("options", {"sd_model_checkpoint": title, "sd_vae": "ignored"})).json() is None
    assert (await front.get("options"))["sd_model_checkpoint"] == "procedural-xl.safetensors"
    assert (await front.get("options"))["sd_vae"] == "Automatic"


async def test_each_person_has_a_checkpoint_of_their_own(serve: Serve, embedded_url: str) -> None:
    async with serve(embedded_url, forwarded_users=True) as front:
        await front.post("options", {"sd_model_checkpoint": "procedural-xl"}, x_user_id="ann")
        assert (await front.get("options", x_user_id="ann"))["sd_model_checkpoint"] == "procedural-xl.safetensors"
        assert (await front.get("options", x_user_id="bob"))["sd_model_checkpoint"] == "procedural-sd15.safetensors"


@pytest.mark.parametrize("title", ["no-such-model", "../../etc/passwd", 7, ["procedural-xl"], {}, True, "x" * 100_000])
async def test_a_checkpoint_that_is_none_is_refused_and_not_kept(front: Front, title: Any) -> None:
    answer = await front.post("options", {"sd_model_checkpoint": title})
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_parameter")
    assert (await front.get("options"))["sd_model_checkpoint"] == "procedural-sd15.safetensors"


@pytest.mark.parametrize("body", [{}, {"sd_model_checkpoint": None}, {"samples_format": "webp", "outdir_samples": "/"}])
async def test_other_options_are_ignored(front: Front, body: Any) -> None:
    before = await front.get("options")
    assert (await front.post("options", body)).status_code == 200
    assert await front.get("options") == before
