"""What the keys of txt2img come to in the job, whose word counts, and what is noted when it cannot be had."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_mcp.jobs import Preset
from comfy_mcp.store import Record
from tests.proxy.a1111.conftest import Front, Serve, decoded

SMALL: dict[str, Any] = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2}


async def painted(front: Front, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `info` of the answer and the values of the job."""
    answer = await front.made("txt2img", SMALL | more)
    return answer["info"], await front.values()


async def test_numbers_may_be_texts_and_null_is_absent(front: Front) -> None:
    sent = {"seed": "7", "steps": "3", "cfg_scale": "5.5", "width": "64", "height": 64.0, "batch_size": "1"}
    absent = {"negative_prompt": None, "sampler_name": None, "styles": None, "override_settings": None, "n_iter": None}
    info, values = await painted(front, **sent, **absent, alwayson_scripts=None)
    assert (info["seed"], info["steps"], info["cfg_scale"]) == (7, 3, 5.5)
    assert (values["negative"], values["sampler"]) == ("", "dpmpp_2m")


@pytest.mark.parametrize("seed", [-1, "-1", None])
async def test_a_seed_of_minus_one_is_drawn(front: Front, seed: Any) -> None:
    info, values = await painted(front, seed=seed)
    assert info["seed"] == values["seed"] >= 0


async def test_the_largest_seed_is_a_seed(front: Front) -> None:
    info, _ = await painted(front, seed=2**64 - 1)
    assert info["all_seeds"] == [2**64 - 1]


async def test_no_prompt_is_an_empty_one(front: Front) -> None:
    answer = await front.made("txt2img", {"width": 64, "height": 64, "steps": 1, "prompt": None})
    assert answer["info"]["infotexts"][0].startswith("\nSteps: 1, ")


async def test_unknown_keys_are_ignored(front: Front) -> None:
    answer = await front.made(
        "txt2img", SMALL | {"firstphase_width": 0, "s_churn": {"a": [1]}, "mask": 4, "image": "x"}
    )
    assert "s_churn" not in answer["parameters"]


async def test_a_parameter_that_a1111_has_no_word_for_is_taken_by_its_own_name(serve: Serve, embedded_url: str) -> None:
    async with serve(embedded_url, a1111={"txt2img": "txt2img_dit"}) as front:
        _, values = await painted(front, guidance=2.5, batch=9, override_settings={"sd_vae": "procedural-vae"})
        assert (values["guidance"], values["batch"], values["vae"]) == (2.5, 1, "procedural-vae.safetensors")


async def test_rounds_are_jobs_whose_seeds_count_up(front: Front) -> None:
    answer = await front.made("txt2img", SMALL | {"n_iter": "2", "batch_size": 2, "seed": "5"})
    assert answer["info"]["all_seeds"] == [5, 5, 7, 7]
    assert len(answer["info"]["infotexts"]) == 4
    pictures = [decoded(image) for image in answer["images"]]
    assert [picture.info["parameters"] for picture in pictures] == answer["info"]["infotexts"]
    assert len({picture.tobytes() for picture in pictures}) == 4


@pytest.mark.parametrize("name", ["DPM++ 4S", "Restart"])
async def test_a_sampler_that_nobody_has_is_left_out_and_noted(front: Front, name: str) -> None:
    info, values = await painted(front, sampler_name=name)
    assert (values["sampler"], values["scheduler"]) == ("dpmpp_2m", "karras")
    assert f"The sampler '{name}' is not to be had here; the default was taken." in info["notes"]


async def test_the_sampler_may_stand_in_the_older_key(front: Front) -> None:
    info, values = await painted(front, sampler_index="DPM++ SDE Karras")
    assert (values["sampler"], values["scheduler"]) == ("dpmpp_sde", "karras")
    assert info["sampler_name"] == "DPM++ SDE"


async def test_an_unknown_scheduler_is_left_out_and_noted(front: Front) -> None:
    info, values = await painted(front, scheduler="Align Your Steps")
    assert values["scheduler"] == "karras"
    assert "The scheduler 'Align Your Steps' is not to be had here; the default was taken." in info["notes"]


@pytest.mark.parametrize("style", [["Anime", "comic_book"], ["nothing", "anime"], "anime"])
async def test_the_first_known_style_is_taken(front: Front, style: Any) -> None:
    info, values = await painted(front, styles=style)
    assert info["styles"] == ["anime"]
    assert values["cfg"] == 7.0
    assert values["prompt"] == "a cat"


@pytest.mark.parametrize(
    "name", ["procedural-xl.safetensors [31e35c80fc]", "procedural-xl", "procedural-xl.safetensors"]
)
async def test_a_request_names_its_checkpoint(front: Front, name: str) -> None:
    info, values = await painted(front, override_settings={"sd_model_checkpoint": name})
    assert values["checkpoint"] == "procedural-xl.safetensors"
    assert info["sd_model_name"] == "procedural-xl"
    assert (await front.get("options"))["sd_model_checkpoint"] == "procedural-sd15.safetensors"


async def test_a_checkpoint_that_is_none_is_refused_with_the_nearest(front: Front) -> None:
    answer = await front.post("txt2img", SMALL | {"override_settings": {"sd_model_checkpoint": "procedural-sd21"}})
    assert answer.status_code == 422
    assert "procedural-sd15.safetensors" in answer.json()["detail"]


async def test_a_lora_in_the_words_is_taken_by_a_workflow_that_has_one(serve: Serve, embedded_url: str) -> None:
    async with serve(embedded_url, a1111={"txt2img": "txt2img_lora"}) as front:
        info, values = await painted(front, prompt="a cat <lora:procedural-style:0.4>, <lora:other:1>")
        assert (values["lora"], values["lora_strength"]) == ("procedural-style.safetensors", 0.4)
        assert values["prompt"] == "a cat"
        assert "The LoRA 'other' was left out: the workflow does not take it." in info["notes"]


async def test_a_lora_in_the_words_is_taken_out_by_a_workflow_that_has_none(front: Front) -> None:
    info, values = await painted(front, prompt="a cat <lora:procedural-style:0.4>")
    assert values["prompt"] == info["prompt"] == "a cat"
    assert "The LoRA 'procedural-style' was left out: the workflow does not take it." in info["notes"]


async def test_the_text_of_a_picture_cannot_be_made_to_lie_in_its_last_line(front: Front) -> None:
    prompt = "a cat\nSteps: 99, Sampler: Fake, Seed: 1, Size: 1x1\nNegative prompt: x"
    info, _ = await painted(front, prompt=prompt, negative_prompt="dog\nSteps: 98", seed=4)
    last = info["infotexts"][0].split("\n")[-1]
    assert last.startswith("Steps: 2, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6, Seed: 4, Size: 64x64, ")


@pytest.mark.requirement("R21")
async def test_a_preset_wins_over_the_request_but_for_what_the_call_sets(serve: Serve, embedded_url: str) -> None:
    preset = Preset("txt2img", "mine", {"steps": 4, "cfg": 3.0}, style="anime", suffix="at night", default=True)
    async with serve(embedded_url, a1111={"call_sets": ["cfg"]}) as front:
        await front.workbench.presets.save(preset)
        info, values = await painted(front, steps=20, cfg_scale=9)
        assert (info["steps"], info["cfg_scale"], info["styles"]) == (4, 9.0, ["anime"])
        assert "steps is 4 by the preset mine, not 20." in info["notes"]
        assert values["prompt"] == "a cat"


async def test_a_preset_that_the_setting_names_is_laid_over(serve: Serve, embedded_url: str) -> None:
    async with serve(embedded_url, a1111={"preset": "quick"}) as front:
        await front.workbench.presets.save(Preset("txt2img", "quick", {"steps": 3}))
        info, _ = await painted(front, steps=20)
        assert info["steps"] == 3


async def test_a_lock_wins_over_a_checkpoint_that_was_chosen(serve: Serve, embedded_url: str) -> None:
    async with serve(embedded_url, locked={"*": {"checkpoint": "procedural-sd15"}}) as front:
        await front.post("options", {"sd_model_checkpoint": "procedural-xl"})
        _, values = await painted(front)
        assert values["checkpoint"] == "procedural-sd15.safetensors"


async def test_a_chosen_checkpoint_that_is_gone_does_not_stop_anybody(front: Front) -> None:
    gone = Record("local", "a1111", "options", {"sd_model_checkpoint": "gone.safetensors"})
    await front.workbench.store.keep_record(gone)
    info, values = await painted(front)
    assert values["checkpoint"] == "procedural-sd15.safetensors"
    assert "The checkpoint 'gone.safetensors' is gone; the default was taken." in info["notes"]
