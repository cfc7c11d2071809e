"""What a picture says beside itself is taken out, and every pixel and frame stays."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops

from comfy_mcp.errors import InvalidImage
from comfy_mcp.images import can_strip, stripped, thumbnail
from tests.images.samples import GPS_MARK, comfyui_png, encoded, exif, opened, photo

PICTURE = photo(64, 48)


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (comfyui_png(PICTURE, GPS_MARK.decode()), "image/png"),
        (encoded(PICTURE, "PNG", exif=exif()), "image/png"),
        (encoded(PICTURE, "WEBP", lossless=True, exif=exif(), xmp=GPS_MARK), "image/webp"),
        (encoded(PICTURE, "JPEG", exif=exif(), comment=GPS_MARK), "image/png"),
        (encoded(PICTURE, "JPEG"), "image/jpeg"),
        (encoded(PICTURE, "AVIF", exif=exif()), "image/png"),
    ],
)
async def test_nothing_is_left_but_the_picture(data: bytes, mime: str) -> None:
    bare, told = await stripped(data)
    assert (told, GPS_MARK in bare) == (mime, False)
    assert ImageChops.difference(opened(data).convert("RGB"), opened(bare).convert("RGB")).getbbox() is None
    assert not {"exif", "xmp", "comment", "prompt"} & opened(bare).info.keys()
    assert await stripped(bare) == (bare, told), "there is nothing more to take out"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
async def test_every_frame_of_an_animation_stays(kind: str) -> None:
    frames = [photo(32, 32, seed=seed) for seed in range(3)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], exif=exif())
    bare, _ = await stripped(data)
    shown = Image.open(io.BytesIO(bare))
    assert (getattr(shown, "n_frames", 1), GPS_MARK in bare, GPS_MARK in data) == (3, False, True)


async def test_what_cannot_be_stripped_is_refused() -> None:
    frames = [photo(32, 32, seed=seed).quantize() for seed in range(2)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0)
    for data in (moving, b"no picture", comfyui_png(PICTURE)[:-20]):
        with pytest.raises(InvalidImage):
            await stripped(data)
    assert not can_strip("image/gif") and not can_strip("video/mp4")


async def test_a_thumbnail_is_a_small_webp_of_the_same_shape() -> None:
    small = await thumbnail(comfyui_png(photo(800, 400)), 200)
    assert (opened(small).format, opened(small).size, len(small) < 48_000) == ("WEBP", (200, 100), True)
