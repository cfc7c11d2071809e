"""A chat gets the best picture that its budget holds."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from comfy_mcp.errors import InvalidImage, TooLarge
from comfy_mcp.images import fit
from tests.images import samples


async def test_what_fits_stays_as_it_is() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        data = samples.encoded(samples.photo(64, 48), kind)
        fitted = await fit(data, max_bytes=len(data), max_side=64)
        assert (fitted.data, fitted.mime, fitted.original) == (data, f"image/{kind.lower()}", True)


async def test_what_few_chats_show_is_encoded_again() -> None:
    fitted = await fit(samples.encoded(samples.photo(64, 48), "AVIF"), max_bytes=700_000)
    assert (fitted.mime, fitted.original) == ("image/webp", False)


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 1200), st.integers(1, 1200)),
    grainy=st.booleans(),
    mode=st.sampled_from(("RGB", "RGBA", "L")),
    max_bytes=st.integers(20_000, 700_000),
    preference=st.sampled_from((("image/webp",), ("image/jpeg",))),
)
@example(size=(1200, 1100), grainy=True, mode="RGBA", max_bytes=90_000, preference=("image/webp",))
@example(size=(1200, 300), grainy=False, mode="RGB", max_bytes=20_000, preference=("image/jpeg",))
@example(size=(599, 823), grainy=True, mode="RGB", max_bytes=20_000, preference=("image/jpeg",))
@example(size=(1100, 1200), grainy=True, mode="L", max_bytes=700_000, preference=("image/webp",))
async def test_every_budget_is_kept(
    size: tuple[int, int], grainy: bool, mode: str, max_bytes: int, preference: tuple[str]
) -> None:
    picture = samples.noise(*size, mode) if grainy else samples.photo(*size, mode)
    data = samples.encoded(picture, "PNG", compress_level=1)
    fitted = await fit(data, max_bytes=max_bytes, mime_preference=preference)
    assert len(fitted.data) <= max_bytes
    shown = samples.opened(fitted.data)
    assert fitted.original == (len(data) <= max_bytes)
    if not fitted.original:
        assert fitted.mime == preference[0]
        assert abs(shown.width / shown.height - size[0] / size[1]) <= size[0] / size[1] / min(shown.size) + 0.01
        # Little is given away: about a third of the budget is used, or the picture is at its best already.
        assert len(fitted.data) > 0.3 * max_bytes or shown.size == size


async def test_a_photo_keeps_its_size_as_long_as_quality_allows() -> None:
    data = samples.encoded(samples.photo(1024, 1024), "PNG", compress_level=1)
    assert len(data) > 700_000
    assert samples.opened((await fit(data, max_bytes=700_000)).data).size == (1024, 1024)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_the_longer_side_is_bounded(kind: str) -> None:
    data = samples.encoded(samples.photo(600, 200), kind)
    fitted = await fit(data, max_bytes=10**7, max_side=150)
    assert samples.opened(fitted.data).size == (150, 50)
    assert not fitted.original


async def test_the_same_input_gives_the_same_bytes() -> None:
    data = samples.encoded(samples.photo(700, 700), "PNG", compress_level=1)
    assert await fit(data, max_bytes=30_000) == await fit(data, max_bytes=30_000)


async def test_the_copy_carries_no_metadata() -> None:
    picture = samples.noise(200, 200)
    for data in (
        samples.comfyui_png(picture, samples.GPS_MARK.decode()),
        samples.encoded(picture, "PNG", exif=samples.exif()),
        samples.encoded(picture, "JPEG", quality=95, exif=samples.exif(), comment=samples.GPS_MARK),
        samples.encoded(picture, "WEBP", quality=95, exif=samples.exif(), xmp=samples.GPS_MARK),
    ):
        for preference in ("image/webp", "image/jpeg"):
            fitted = await fit(data, max_bytes=20_000, mime_preference=(preference,))
            assert samples.GPS_MARK in data
            assert samples.GPS_MARK not in fitted.data
            assert not {"exif", "xmp", "comment", "prompt"} & samples.opened(fitted.data).info.keys()


async def test_a_turned_photo_is_shown_upright() -> None:
    data = samples.encoded(samples.noise(300, 200), "JPEG", quality=95, exif=samples.exif(6))
    width, height = samples.opened((await fit(data, max_bytes=20_000)).data).size
    assert width < height


async def test_alpha_stays_in_webp_and_becomes_white_in_jpeg() -> None:
    picture = samples.noise(300, 300, "RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 150, 300))
    data = samples.encoded(picture, "PNG")
    webp = samples.opened((await fit(data, max_bytes=50_000)).data)
    assert webp.mode == "RGBA"
    assert webp.getpixel((2, 2)) == (0, 0, 0, 0)
    jpeg = samples.opened((await fit(data, max_bytes=50_000, mime_preference=["image/jpeg"])).data)
    assert jpeg.mode == "RGB"
    assert np.asarray(jpeg)[:, :20].min() > 240


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "PNG"])
async def test_an_animation_stays_if_it_fits_and_is_its_first_frame_otherwise(kind: str) -> None:
    data = samples.animated(kind, 6, (120, 120))
    assert (await fit(data, max_bytes=len(data))).data == data
    poster = await fit(data, max_bytes=len(data) // 4, mime_preference=("image/jpeg",))
    shown = samples.opened(poster.data)
    assert (poster.original, getattr(shown, "n_frames", 1)) == (False, 1)
    first = np.asarray(samples.opened(data).convert("RGB").resize((8, 8), Image.Resampling.BOX), dtype=float)
    assert np.abs(first - np.asarray(shown.resize((8, 8), Image.Resampling.BOX), dtype=float)).mean() < 16


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16"])
async def test_every_kind_of_pixels_can_be_shown(mode: str) -> None:
    gradient = Image.linear_gradient("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(gradient).astype(np.uint16) * 257)
    else:
        picture = gradient.convert("RGB").convert(mode) if mode == "CMYK" else gradient.convert(mode)
    data = samples.encoded(picture, "JPEG" if mode == "CMYK" else "PNG")
    shown = samples.opened((await fit(data, max_bytes=10**6, max_side=200)).data).convert("L")
    assert np.abs(np.asarray(shown, dtype=float).mean() - 127.5) < 4
    dark, light = np.asarray(shown)[:20].mean(), np.asarray(shown)[-20:].mean()
    assert dark < 40 and light > 215


async def test_a_budget_that_holds_no_picture_is_refused() -> None:
    data = samples.encoded(samples.noise(200, 200), "PNG")
    with pytest.raises(TooLarge) as refused:
        await fit(data, max_bytes=30)
    assert "link" in refused.value.hint


@pytest.mark.parametrize("data", [b"", b"<svg/>", samples.wav(), samples.encoded(samples.noise(50, 50), "PNG")[:-9]])
async def test_what_is_no_picture_cannot_be_fitted(data: bytes) -> None:
    with pytest.raises(InvalidImage):
        await fit(data, max_bytes=1000)


async def test_other_tasks_run_while_pictures_are_made() -> None:
    data = samples.encoded(samples.photo(1500, 1500), "PNG", compress_level=1)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        await fit(data, max_bytes=100_000)
        tasks.cancel_scope.cancel()
    assert turns > 200
