"""`/v1/images/edits` as each client sends it: forms with one picture or several, a mask, and JSON."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops

from tests.proxy.openai.pictures import encoded, jobs_in, mask, only, plain, shown
from tests.workbenches import served

EDITS = "/v1/images/edits"
PNG = ("cat.png", plain(), "image/png")


@pytest.mark.requirement("R22")
async def test_librechat_sends_a_form_with_several_pictures(api: httpx.AsyncClient) -> None:
    """OpenAIImageTools.js, axios with `image[]`; the size is one of those that its tool offers the model."""
    fields = {"model": "gpt-image-1", "prompt": "a red house", "quality": "auto", "size": "1024x1024"}
    webp = encoded(Image.new("RGB", (80, 60), "blue"), "WEBP")
    files = [("image[]", PNG), ("image[]", ("two.webp", webp, "image/webp"))]
    answer = await api.post(EDITS, data=fields, files=files)

    picture = shown(only(answer)["b64_json"])
    assert picture.format == "PNG" and answer.json()["size"] == f"{picture.width}x{picture.height}"
    (job,) = await jobs_in(api)
    assert (job["template"], job["values"]["megapixels"]) == ("img2img", 1.0)


@pytest.mark.requirement("R22")
async def test_lobehub_sends_one_picture_and_fields_that_nobody_here_knows(api: httpx.AsyncClient) -> None:
    """openaiCompatibleFactory/createImage.ts, `client.images.edit`."""
    fields = {"model": "some-model", "n": "1", "input_fidelity": "high", "prompt": "a cat", "steps": "2", "seed": "5"}
    answer = await api.post(EDITS, data=fields, files={"image": PNG})

    assert shown(only(answer)["b64_json"]).format == "PNG"
    (job,) = await jobs_in(api)
    assert (job["values"]["steps"], job["values"]["seed"]) == (2, 5)


@pytest.mark.requirement("R22")
async def test_open_webui_sends_jpeg_and_asks_for_base64(api: httpx.AsyncClient) -> None:
    """routers/images.py, `image_edits`: `image` for one picture, `image[]` for a list of them."""
    fields = {"model": "dall-e-2", "prompt": "a cat", "n": "1", "size": "256x256", "response_format": "b64_json"}
    picture = ("image.jpeg", encoded(Image.new("RGB", (90, 60), "green"), "JPEG"), "image/jpeg")
    for field in ("image", "image[]"):
        assert shown(only(await api.post(EDITS, data=fields, files=[(field, picture)]))["b64_json"])
    assert [job["values"]["megapixels"] for job in await jobs_in(api)] == [0.0625, 0.0625]


@pytest.mark.requirement("R22")
async def test_only_what_is_transparent_in_the_mask_is_painted_anew(api: httpx.AsyncClient) -> None:
    original = plain(192, 128)
    files = {"image": ("a.png", original, "image/png"), "mask": ("m.png", mask(192, 128), "image/png")}
    answer = await api.post(EDITS, data={"prompt": "the sea", "steps": "2", "denoise": "1"}, files=files)

    changed = ImageChops.difference(shown(only(answer)["b64_json"]).convert("RGB"), shown(original)).convert("L")
    assert changed.size == (192, 128)
    assert changed.crop((0, 0, 64, 128)).histogram()[0] == 0
    # The mask is grown and softened by some pixels.
    assert changed.crop((140, 0, 192, 128)).getextrema() == (0, 0)
    assert [job["template"] for job in await jobs_in(api)] == ["inpaint"]


async def test_several_are_jobs_with_seeds_one_after_the_other(api: httpx.AsyncClient) -> None:
    fields = {"prompt": "a cat", "n": "3", "seed": "41", "steps": "1"}
    answer = await api.post(EDITS, data=fields, files={"image": PNG})

    assert len(answer.json()["data"]) == 3
    assert [job["values"]["seed"] for job in await jobs_in(api)] == [41, 42, 43]


async def test_json_holds_data_urls_and_ids_of_earlier_pictures(api: httpx.AsyncClient) -> None:
    """openai-python, types/image_input_reference_param.py."""
    told = base64.b64encode(plain()).decode()
    upload = (await api.post("/api/v1/assets", content=plain(), headers={"content-type": "image/png"})).json()
    references: list[dict[str, Any]] = [
        {"images": [{"image_url": f"data:image/png;base64,{told}"}]},
        {"images": [{"file_id": upload["id"]}]},
        {"image": told},
    ]
    for reference in references:
        body = {"prompt": "a cat", "steps": 1, **reference}
        assert shown(only(await api.post(EDITS, json=body))["b64_json"]).format == "PNG"


async def test_each_picture_goes_to_a_parameter_of_the_template(tmp_path: Path, embedded_url: str) -> None:
    folder = tmp_path / "templates" / "two"
    folder.mkdir(parents=True)
    (folder / "workflow.json").write_text(TWO)
    (folder / "manifest.toml").write_text(TWO_MANIFEST)
    async with served(tmp_path, embedded_url) as client:
        files = [("image[]", ("a.png", plain(color=color), "image/png")) for color in ("red", "blue", "green")]
        answer = await client.post(EDITS, data={"prompt": "both", "model": "workflow/two"}, files=files)

        found = [shown(each["b64_json"]).convert("RGB").getpixel((9, 9)) for each in answer.json()["data"]]
        assert sorted(map(str, found)) == ["(0, 0, 255)", "(255, 0, 0)"]


TWO = """{
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "2": {"class_type": "LoadImage", "inputs": {"image": "b.png"}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "one"}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "two"}}
}"""
TWO_MANIFEST = """
title = "Two"
description = "Both pictures again."
[parameters.image]
type = "image"
bind = "LoadImage#1.image"
[parameters.image2]
type = "image"
bind = "LoadImage#2.image"
"""
