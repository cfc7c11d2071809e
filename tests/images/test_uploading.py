"""An accepted upload decodes, stands upright and tells nothing but the picture."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from comfy_mcp.errors import InvalidImage, TooLarge
from comfy_mcp.images import Limits, accept_upload
from tests.images import samples

# What the package itself sets for a server; pytest puts its own filters in place of it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

PICTURE = samples.photo(40, 30)
WITH_METADATA = {
    "jpeg with a place": samples.encoded(PICTURE, "JPEG", exif=samples.exif()),
    "png with a place": samples.encoded(PICTURE, "PNG", exif=samples.exif()),
    "webp with a place": samples.encoded(PICTURE, "WEBP", exif=samples.exif()),
    "avif with a place": samples.encoded(PICTURE, "AVIF", exif=samples.exif()),
    "jpeg with a comment": samples.encoded(PICTURE, "JPEG", comment=samples.GPS_MARK),
    "webp with xmp": samples.encoded(PICTURE, "WEBP", xmp=samples.GPS_MARK),
    "gif with a comment": samples.encoded(PICTURE.quantize(), "GIF", comment=samples.GPS_MARK),
    "png with a workflow": samples.comfyui_png(PICTURE, samples.GPS_MARK.decode()),
    "png with a tail": samples.encoded(PICTURE, "PNG") + b"<script>" + samples.GPS_MARK,
    "jpeg with a tail": samples.encoded(PICTURE, "JPEG") + b"<script>" + samples.GPS_MARK,
    "webp with a tail": samples.encoded(PICTURE, "WEBP") + b"<script>" + samples.GPS_MARK,
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_picture_without_metadata_stays_as_it_is(kind: str) -> None:
    data = samples.encoded(PICTURE, kind)
    accepted = await accept_upload(data)
    assert (accepted.data, accepted.mime) == (data, f"image/{kind.lower()}")
    assert (accepted.width, accepted.height) == (40, 30)


@pytest.mark.parametrize("name", WITH_METADATA)
async def test_metadata_and_tails_are_dropped_and_the_picture_is_not(name: str) -> None:
    data = WITH_METADATA[name]
    assert samples.GPS_MARK in data
    accepted = await accept_upload(data)
    assert accepted.mime == "image/png"
    assert samples.GPS_MARK not in accepted.data
    assert _kinds(accepted.data) <= {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    assert _same(samples.opened(data), samples.opened(accepted.data))
    assert (await accept_upload(accepted.data)).data == accepted.data


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_photo_stands_upright(orientation: int) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    data = samples.encoded(PICTURE, "PNG", exif=samples.exif(orientation))
    accepted = await accept_upload(data)
    expected = PICTURE if orientation == 1 else PICTURE.transpose(turns[orientation])
    assert (accepted.width, accepted.height) == expected.size
    assert _same(samples.opened(accepted.data), expected)
    jpeg = await accept_upload(samples.encoded(PICTURE, "JPEG", exif=samples.exif(orientation)))
    assert (jpeg.width, jpeg.height) == expected.size


async def test_an_orientation_that_cannot_be_read_counts_as_none() -> None:
    for note in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0garbage!"):
        accepted = await accept_upload(samples.encoded(PICTURE, "JPEG", exif=note))
        assert (accepted.width, accepted.height) == (40, 30)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
async def test_alpha_is_kept_because_it_may_be_a_mask(kind: str) -> None:
    picture = samples.photo(40, 30, "RGBA")
    data = samples.encoded(picture, kind, exif=samples.exif())
    accepted = samples.opened((await accept_upload(data)).data)
    assert accepted.mode == "RGBA"
    assert _same(accepted, samples.opened(data))


async def test_transparent_colors_of_palettes_are_kept() -> None:
    picture = samples.photo(40, 30).quantize(8)
    for kind in ("GIF", "PNG"):
        data = samples.encoded(picture, kind, transparency=3, comment=b"x") + b"tail"
        accepted = await accept_upload(data)
        assert accepted.mime == "image/png"
        alpha = samples.opened(accepted.data).convert("RGBA").getchannel("A")
        assert alpha.getextrema() == (0, 255)
        assert _same(alpha, samples.opened(data).convert("RGBA").getchannel("A"))


async def test_a_color_profile_stays_where_the_colors_do() -> None:
    profile = b"\0" * 36 + b"acsp" + b"\0" * 88
    kept = samples.opened((await accept_upload(samples.encoded(PICTURE, "PNG", icc_profile=profile) + b"x")).data)
    assert kept.info["icc_profile"] == profile
    cmyk = samples.encoded(PICTURE.convert("CMYK"), "JPEG", icc_profile=profile, comment=b"x")
    converted = samples.opened((await accept_upload(cmyk)).data)
    assert (converted.mode, "icc_profile" in converted.info) == ("RGB", False)


async def test_sixteen_bits_stay_sixteen_bits() -> None:
    deep = Image.fromarray((np.arange(1200, dtype=np.uint16) * 50).reshape(30, 40))
    accepted = samples.opened((await accept_upload(samples.encoded(deep, "PNG") + b"tail")).data)
    assert accepted.mode == "I;16"
    assert np.array_equal(np.asarray(accepted), np.asarray(deep))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
async def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    data = samples.animated(kind, 4)
    accepted = await accept_upload(data)
    still = samples.opened(accepted.data)
    assert (accepted.mime, getattr(still, "n_frames", 1)) == ("image/png", 1)
    assert _same(still, samples.opened(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"SIMPLE  =                    T".ljust(2880),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"8BPS\0\1" + bytes(40),
        samples.encoded(PICTURE, "BMP"),
        samples.encoded(PICTURE, "TIFF"),
        samples.encoded(PICTURE, "ICO"),
        samples.encoded(PICTURE, "PPM"),
        samples.mp4(),
        b"\x89PNG\r\n\x1a\n<html><script>alert(1)</script></html>",
        b"GIF89a=1;/*" + bytes(30),
    ],
    ids=["nothing", "svg", "fits", "eps", "psd", "bmp", "tiff", "ico", "ppm", "mp4", "png and html", "gif and js"],
)
async def test_what_is_no_picture_of_ours_is_refused_whatever_it_is_called(data: bytes) -> None:
    with pytest.raises(InvalidImage) as refused:
        await accept_upload(data)
    assert refused.value.hint


async def test_a_picture_whose_pixels_are_missing_or_garbled_is_refused() -> None:
    for pixels in (b"", b"garbage", zlib.compress(bytes(50)), zlib.compress(bytes(5000))[:-20]):
        with pytest.raises(InvalidImage):
            await accept_upload(samples.png(64, 64, pixels=pixels))


@pytest.mark.parametrize("size", [(5745, 5745), (16_384, 10), (65_535, 1), (1, 2**31 - 1), (16_384, 16_384)])
async def test_an_upload_that_is_too_large_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(TooLarge) as refused:
        await accept_upload(samples.png(*size))
    assert "33 megapixels and 16383 pixels" in refused.value.hint


async def test_the_longest_side_is_accepted() -> None:
    pixels = zlib.compress(bytes(16_384 * 2))
    accepted = await accept_upload(samples.png(16_383, 2, pixels=pixels))
    assert (accepted.width, accepted.height) == (16_383, 2)


async def test_an_animation_of_very_many_frames_is_refused() -> None:
    assert (await accept_upload(samples.long_gif(500))).width == 1
    with pytest.raises(TooLarge, match="501 frames"):
        await accept_upload(samples.long_gif(501))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
async def test_a_bomb_in_the_text_of_a_picture_is_refused_or_dropped(kind: bytes) -> None:
    packed = zlib.compress(bytes(30_000_000), 9)
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    data = samples.png(8, 8, *[samples.chunk(kind, head + packed)] * 20, pixels=zlib.compress(bytes(72)))
    try:
        accepted = await accept_upload(data + b"tail")
    except InvalidImage:
        return
    assert len(accepted.data) < 500


async def test_the_limits_can_be_other_ones() -> None:
    with pytest.raises(TooLarge):
        await accept_upload(samples.encoded(PICTURE, "PNG"), limits=Limits(pixels=1000, side=100, frames=1))


@settings(max_examples=250, deadline=None)
@given(name=st.sampled_from(sorted(WITH_METADATA)), changes=samples.changes())
async def test_garbled_uploads_raise_nothing_but_our_errors(name: str, changes: list[tuple[int, int]]) -> None:
    garbled = samples.garbled(WITH_METADATA[name], changes)
    if name.startswith("png"):
        garbled = _with_checksums(garbled)
    try:
        accepted = await accept_upload(garbled)
    except (InvalidImage, TooLarge):
        return
    assert samples.opened(accepted.data).size == (accepted.width, accepted.height)


def _kinds(data: bytes) -> set[bytes]:
    kinds, at = set[bytes](), 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kinds.add(data[at + 4 : at + 8])
        at += 12 + length
    return kinds


def _with_checksums(data: bytes) -> bytes:
    """Mends the checksums, so that the damage reaches the decoder."""
    mended, at = data[:8], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        mended += samples.chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return mended


def _same(one: Image.Image, other: Image.Image) -> bool:
    mode = "RGBA" if "A" in one.getbands() or "A" in other.getbands() else "RGB"
    return one.size == other.size and ImageChops.difference(one.convert(mode), other.convert(mode)).getbbox() is None
