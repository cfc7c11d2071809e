"""What A1111's clients call things, turned into what ComfyUI calls them. Pure: no server."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfy_mcp.embedded.nodes_sampling import SAMPLERS as OFFERED_SAMPLERS
from comfy_mcp.embedded.nodes_sampling import SCHEDULERS as OFFERED_SCHEDULERS
from comfy_mcp.errors import InvalidImage
from comfy_mcp.proxy.a1111.names import SAMPLERS, SCHEDULERS, from_a1111, to_a1111
from comfy_mcp.proxy.a1111.offers import bare, without_hash
from comfy_mcp.proxy.a1111.png_text import MOST_TEXT, parameters_of, texts_of, with_text
from comfy_mcp.proxy.a1111.prompts import Lora, without_networks


@pytest.mark.parametrize(
    ("sampler", "scheduler", "own"),
    [
        ("Euler a", "", ("euler_ancestral", "normal")),
        ("Euler a", "Karras", ("euler_ancestral", "karras")),
        ("euler A", "automatic", ("euler_ancestral", "normal")),
        ("DPM++ 2M", "Automatic", ("dpmpp_2m", "karras")),
        ("DPM++ 2M Karras", "", ("dpmpp_2m", "karras")),
        ("DPM++ 2M SDE Exponential", "Automatic", ("dpmpp_2m_sde", "exponential")),
        ("DPM++ 2M SDE SGMUniform", "", ("dpmpp_2m_sde", "sgm_uniform")),
        ("DPM++ 2M Karras", "Simple", ("dpmpp_2m", "simple")),
        ("DPM++ SDE", "SGM Uniform", ("dpmpp_sde", "sgm_uniform")),
        ("k_euler_a", "", ("euler_ancestral", "normal")),
        ("DDIM", "", ("ddim", "ddim_uniform")),
        ("UniPC", "Uniform", ("uni_pc", "normal")),
        ("LCM", "", ("lcm", "sgm_uniform")),
        ("Restart", "", ("restart", "karras")),
        ("euler", "", ("euler", "")),
        ("euler", "beta", ("euler", "beta")),
        ("res_multistep", "linear_quadratic", ("res_multistep", "linear_quadratic")),
        ("", "Polyexponential", ("", "exponential")),
        ("", "", ("", "")),
        ("Karras", "", ("Karras", "")),
        (" karras", "", ("karras", "")),
    ],
)
def test_names_of_a1111_become_those_of_comfyui(sampler: str, scheduler: str, own: tuple[str, str]) -> None:
    assert from_a1111(sampler, scheduler) == own


def test_all_names_but_a_few_are_of_samplers_that_comfyui_has() -> None:
    assert {each.own for each in SAMPLERS} - set(OFFERED_SAMPLERS) == {"restart"}
    assert {each.own for each in SCHEDULERS} - set(OFFERED_SCHEDULERS) == {"ays", "turbo"}
    assert {each.scheduler for each in SAMPLERS} <= set(OFFERED_SCHEDULERS)


def test_names_of_comfyui_are_told_as_those_of_a1111() -> None:
    assert to_a1111("dpmpp_2m", "karras") == ("DPM++ 2M", "Karras")
    assert to_a1111("res_multistep", "linear_quadratic") == ("res_multistep", "linear_quadratic")
    for each in SAMPLERS:
        assert from_a1111(*to_a1111(each.own, each.scheduler)) == (each.own, each.scheduler)


@pytest.mark.parametrize(
    ("prompt", "words", "found"),
    [
        ("a cat", "a cat", []),
        ("a <b> cat", "a <b> cat", []),
        ("a cat <lora:fur:0.8>", "a cat", [Lora("fur", 0.8)]),
        ("a cat, <lora:fur:1>, <lyco:tail:0.5:0.2>", "a cat", [Lora("fur", 1.0), Lora("tail", 0.5)]),
        ("<lora:folder/fur> a cat", "a cat", [Lora("folder/fur", None)]),
        ("<lora:fur:much> a cat", "a cat", [Lora("fur", None)]),
        ("<lora:fur:inf> a cat", "a cat", [Lora("fur", None)]),
        ("<lora::1> a cat <lora:", "<lora::1> a cat <lora:", []),
    ],
)
def test_loras_are_taken_out_of_the_words(prompt: str, words: str, found: list[Lora]) -> None:
    told, loras = without_networks(prompt)
    assert (told, loras) == (words, found)


def test_titles_lose_their_hash_and_files_their_ending() -> None:
    assert without_hash("v1-5.safetensors [6ce0161689]") == "v1-5.safetensors"
    assert without_hash("my [old] model.ckpt") == "my [old] model.ckpt"
    assert bare("folder/v1-5.safetensors") == "folder/v1-5"


def png(**texts: str) -> bytes:
    info, file = PngInfo(), io.BytesIO()
    for name, text in texts.items():
        info.add_itxt(name, text, zip=True)
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize("text", ["a cat\nSteps: 20, Sampler: Euler a", "猫 🐈\nSteps: 20", "é"])
async def test_a_text_written_into_a_png_is_read_by_pillow_and_by_us(text: str) -> None:
    written = with_text(png(), "parameters", text)
    with Image.open(io.BytesIO(written)) as image:
        image.load()
        assert image.info["parameters"] == text
    assert await texts_of(written) == {"parameters": text}


async def test_packed_texts_are_read_within_bounds() -> None:
    assert await texts_of(png(small="x" * 1000, bomb="x" * (50 * MOST_TEXT))) == {"small": "x" * 1000}


async def test_texts_together_are_bounded() -> None:
    found = await texts_of(png(**{f"text{number}": "x" * (MOST_TEXT // 2) for number in range(5)}))
    assert sum(map(len, found.values())) <= MOST_TEXT


async def test_texts_that_cannot_be_unpacked_are_left_out() -> None:
    body = b"key\0\0no zlib at all"
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    whole = png()
    assert await texts_of(whole[:33] + chunk + whole[33:]) == {}


async def test_no_texts_are_read_of_what_is_no_whole_picture() -> None:
    for data in (b"", b"\x89PNG\r\n\x1a\n", png()[:-20], b"GIF89a"):
        with pytest.raises(InvalidImage):
            await texts_of(data)


def test_the_text_of_a_picture_is_read_as_a_table() -> None:
    told = parameters_of(
        'a cat\non a mat\nNegative prompt: dog, bird\nSteps: 20, Sampler: Euler a, Model: "a, b: c", Size: 512x768'
    )
    assert told == {
        "Prompt": "a cat\non a mat",
        "Negative prompt": "dog, bird",
        "Steps": "20",
        "Sampler": "Euler a",
        "Model": "a, b: c",
        "Size": "512x768",
        "Size-1": "512",
        "Size-2": "768",
    }


def test_a_text_without_facts_is_all_prompt() -> None:
    assert parameters_of("a cat: nice, big") == {"Prompt": "a cat: nice, big", "Negative prompt": ""}
