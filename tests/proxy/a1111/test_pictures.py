"""Pictures that come in: img2img, masks, upscaling, and reading how a picture was made."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from comfy_mcp.proxy.a1111.answers import as_png
from tests.proxy.a1111.conftest import Front, Serve, decoded

QUICK: dict[str, Any] = {"prompt": "a cat", "steps": 2, "denoising_strength": 1.0, "seed": 1}


def told(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def half_white(mode: str = "L") -> Image.Image:
    """White, or opaque, on the left."""
    left = Image.new("L", (96, 64))
    left.paste(255, (0, 0, 48, 64))
    if mode == "L":
        return left
    image = Image.new("RGBA", (96, 64), "black")
    image.putalpha(left)
    return image


async def test_a_picture_is_the_start_of_another(front: Front, b64: str) -> None:
    answer = await front.made("img2img", QUICK | {"init_images": [b64], "denoising_strength": 0.4, "resize_mode": 1})
    values = await front.values()
    assert values["denoise"] == 0.4
    assert answer["info"]["denoising_strength"] == 0.4
    assert "Denoising strength: 0.4" in answer["info"]["infotexts"][0]
    assert answer["parameters"]["init_images"] is None
    assert b64 not in str(answer["parameters"])


async def test_the_size_that_is_asked_for_is_the_size_that_is_painted(front: Front, b64: str) -> None:
    answer = await front.made("img2img", QUICK | {"init_images": [b64], "width": 192, "height": "128"})
    assert decoded(answer["images"][0]).size == (192, 128)


async def test_data_urls_are_taken_and_only_the_first_picture_counts(front: Front, b64: str) -> None:
    await front.made("img2img", QUICK | {"init_images": [f"data:image/png;base64,{b64}", "no picture"]})


async def test_batches_of_a_workflow_that_makes_one_are_jobs(front: Front, b64: str) -> None:
    answer = await front.made(
        "img2img", QUICK | {"init_images": [b64], "batch_size": 2, "n_iter": 2, "megapixels": 0.01}
    )
    assert answer["info"]["all_seeds"] == [1, 2, 3, 4]


@pytest.mark.parametrize("mode", ["L", "RGBA"])
@pytest.mark.parametrize("inverted", [0, 1])
async def test_the_white_of_a_mask_is_painted_anew(front: Front, mode: str, inverted: int) -> None:
    start = Image.new("RGB", (96, 64), (255, 0, 255))
    body = QUICK | {"init_images": [told(start)], "mask": told(half_white(mode)), "inpainting_mask_invert": inverted}
    answer = await front.made("img2img", body | {"width": 96, "height": 64})
    job = (await front.workbench.jobs(limit=1))[0]
    assert job.template == "inpaint"
    picture = decoded(answer["images"][0]).convert("RGB")
    width, height = picture.size
    left, right = (picture.getpixel((round(width * part), height // 2)) for part in (0.1, 0.9))
    kept, painted = (left, right) if inverted else (right, left)
    assert isinstance(kept, tuple)
    assert isinstance(painted, tuple)
    assert max(abs(a - b) for a, b in zip(kept, (255, 0, 255), strict=True)) < 40
    assert max(abs(a - b) for a, b in zip(painted, (255, 0, 255), strict=True)) > 60


@pytest.mark.parametrize("asked", [{"upscaling_resize": 2}, {"upscaling_resize": "2"}, {}, {"upscaler_1": "None"}])
async def test_upscaling_makes_a_picture_so_many_times_larger(front: Front, b64: str, asked: dict[str, Any]) -> None:
    answer = await front.made("extra-single-image", {"image": b64, **asked})
    assert decoded(answer["image"]).size == (192, 128)


async def test_upscaling_fills_a_size(front: Front, b64: str) -> None:
    size = {"resize_mode": 1, "upscaling_resize_w": 96, "upscaling_resize_h": 192}
    answer = await front.made("extra-single-image", {"image": b64, "upscaler_1": "procedural-x4", **size})
    assert decoded(answer["image"]).size == (288, 192)


async def test_what_upscaling_cannot_do_is_told_and_cannot_be_markup(front: Front, b64: str) -> None:
    body = {"image": b64, "upscaler_1": "<script>", "upscaling_resize": 8}
    answer = await front.made("extra-single-image", body)
    assert decoded(answer["image"]).size == (384, 256)
    assert "8 times is not to be had here; it is 4 times." in answer["html_info"]
    assert "&lt;script&gt;" in answer["html_info"]
    assert "<script>" not in answer["html_info"]


async def test_several_pictures_are_upscaled_at_once(front: Front, b64: str) -> None:
    pictures = [{"data": b64, "name": "a.png"}, {"data": told(Image.new("RGB", (32, 32))), "name": "b.png"}]
    answer = await front.made("extra-batch-images", {"imageList": pictures})
    assert [decoded(image).size for image in answer["images"]] == [(192, 128), (64, 64)]


async def test_a_picture_says_how_it_was_made(front: Front) -> None:
    made = await front.made("txt2img", {"prompt": "猫, a cat", "negative_prompt": "dog", "steps": 2, "width": 64})
    answer = await front.made("png-info", {"image": f"data:image/png;base64,{made['images'][0]}"})
    assert answer["info"] == made["info"]["infotexts"][0]
    assert answer["parameters"]["Prompt"] == "猫, a cat"
    assert answer["parameters"]["Negative prompt"] == "dog"
    assert answer["parameters"]["Seed"] == str(made["info"]["seed"])
    assert "KSampler" in answer["items"]["prompt"]


async def test_a_picture_that_says_nothing_has_no_info(front: Front, b64: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    for image in (b64, base64.b64encode(file.getvalue()).decode()):
        assert await front.made("png-info", {"image": image}) == {"info": "", "items": {}, "parameters": {}}


async def test_a_picture_of_another_format_is_answered_as_png(front: Front) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(file, "JPEG")
    asset = await front.workbench.upload(file.getvalue())
    assert asset.mime == "image/jpeg"
    assert (
        Image.open(io.BytesIO(await as_png(front.workbench, asset, "a cat")), formats=["PNG"]).info["parameters"]
        == "a cat"
    )


@pytest.mark.parametrize("path", ["img2img", "extra-single-image", "png-info"])
async def test_addresses_are_not_fetched_unless_the_settings_allow_it(
    serve: Serve, embedded_url: str, path: str
) -> None:
    async with serve(embedded_url) as front:
        address = "http://169.254.169.254/latest/meta-data"
        answer = await front.post(path, {"init_images": [address], "image": address, "prompt": ""})
        assert (answer.status_code, answer.json()["error"]) == (422, "invalid_image")
        assert await front.workbench.jobs() == []
