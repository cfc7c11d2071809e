"""What came from ComfyUI is whole and of a size that we take, or it is refused; without decoding it."""

from __future__ import annotations

import struct
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_mcp.errors import InvalidImage, OutputUnreadable, TooLarge
from comfy_mcp.images import UPLOADED, Limits, inspect, measure, sniff, verify
from tests.images import samples

STILL = samples.still_pictures()
ANIMATED = {
    "gif": samples.animated("GIF", 5),
    "webp": samples.animated("WEBP", 5),
    "png": samples.animated("PNG", 5),
    "avif": samples.animated("AVIF", 5),
}
RECORDINGS = {
    "mp4": samples.mp4(),
    "mov": samples.mp4(b"qt  "),
    "webm": samples.webm(),
    "wav": samples.wav(),
    "opus": samples.ogg(),
    "glb": samples.glb(),
}


@pytest.mark.parametrize("name", STILL)
async def test_a_picture_is_measured(name: str) -> None:
    assert await measure(STILL[name]) == (40, 30, 1)
    found = await inspect(STILL[name])
    assert (found.width, found.height, found.frames) == (40, 30, 1)
    await verify(STILL[name], found.media.mime)


@pytest.mark.parametrize("kind", ANIMATED)
async def test_frames_are_counted(kind: str) -> None:
    assert await measure(ANIMATED[kind]) == (24, 16, 5)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(("PNG", "JPEG", "WEBP", "GIF")),
    mode=st.sampled_from(("RGB", "RGBA", "L")),
    width=st.integers(1, 300),
    height=st.integers(1, 300),
)
async def test_our_reading_agrees_with_the_decoder(kind: str, mode: str, width: int, height: int) -> None:
    picture = samples.noise(width, height, "RGB" if kind == "JPEG" and mode == "RGBA" else mode)
    data = samples.encoded(picture, kind)
    assert await measure(data) == (*samples.opened(data).size, 1)


@pytest.mark.parametrize(
    "data", [*STILL.values(), *ANIMATED.values()], ids=[*STILL, *(f"moving {k}" for k in ANIMATED)]
)
async def test_a_picture_cut_at_any_byte_is_refused(data: bytes) -> None:
    mime = sniff(data).mime
    for end in range(len(data)):
        with pytest.raises(OutputUnreadable):
            await verify(data[:end], mime)


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recording_cut_at_any_byte_is_refused(name: str) -> None:
    data = RECORDINGS[name]
    found = await inspect(data)
    assert (found.width, found.height) == (None, None)
    for end in range(len(data)):
        with pytest.raises(OutputUnreadable):
            await verify(data[:end], found.media.mime)


@pytest.mark.parametrize(
    ("data", "mime"),
    [(samples.webm(live=True), "video/webm"), (b"RIFF\xff\xff\xff\xffWAVE" + bytes(30), "audio/wav")],
)
async def test_a_recording_that_does_not_tell_its_length_passes(data: bytes, mime: str) -> None:
    assert (await inspect(data)).media.mime == mime


async def test_a_flipped_bit_anywhere_in_a_png_is_found() -> None:
    data = samples.encoded(samples.photo(12, 9), "PNG")
    for at in range(len(data)):
        flipped = data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]
        with pytest.raises(OutputUnreadable):
            await verify(flipped, "image/png")


async def test_another_type_than_promised_is_refused() -> None:
    with pytest.raises(OutputUnreadable, match="image/jpeg, not image/png"):
        await verify(STILL["jpeg"], "image/png")
    with pytest.raises(OutputUnreadable):
        await verify(b"<html>502 Bad Gateway</html>", "image/png")


async def test_text_and_unknown_files_pass_unmeasured() -> None:
    assert (await inspect(b"a prompt")).media.mime == "text/plain"
    assert (await inspect(b"\0\1\2")).media.mime == "application/octet-stream"


@pytest.mark.parametrize("data", [b"a prompt", samples.wav(), b"<svg/>"])
async def test_only_pictures_can_be_measured(data: bytes) -> None:
    with pytest.raises(InvalidImage) as refused:
        await measure(data)
    assert "PNG" in refused.value.hint


@pytest.mark.parametrize(
    ("width", "height"),
    [(10_001, 10_000), (13_000, 13_000), (16_384, 16_384), (65_536, 1), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1)],
)
async def test_a_picture_too_large_even_for_comfyui_is_refused_by_its_header(width: int, height: int) -> None:
    with pytest.raises(TooLarge) as refused:
        await inspect(samples.png(width, height))
    assert (refused.value.details["width"], refused.value.details["height"]) == (width, height)
    assert "100 megapixels" in refused.value.hint


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
async def test_a_picture_without_a_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidImage):
        await measure(samples.png(*size))


async def test_limits_are_inclusive() -> None:
    limits = Limits(pixels=1200, side=40, frames=5)
    assert await measure(STILL["png"], limits=limits) == (40, 30, 1)
    assert await measure(ANIMATED["gif"], limits=limits) == (24, 16, 5)
    for less in (Limits(1199, 40, 5), Limits(1200, 39, 5)):
        with pytest.raises(TooLarge):
            await measure(STILL["png"], limits=less)
    with pytest.raises(TooLarge, match="5 frames"):
        await measure(ANIMATED["gif"], limits=Limits(1200, 40, 4))


async def test_a_gif_whose_frame_reaches_beyond_its_screen_is_measured_by_the_frame() -> None:
    data = bytearray(samples.long_gif(1))
    at = data.index(b"\x2c")
    data[at + 1 : at + 9] = struct.pack("<HHHH", 9, 4, 60_000, 50_000)
    assert await measure(bytes(data), limits=Limits(2**40, 2**20, 1)) == (60_009, 50_004, 1)
    with pytest.raises(TooLarge):
        await measure(bytes(data))


async def test_very_many_frames_or_parts_are_refused_soon() -> None:
    with pytest.raises(TooLarge, match="40000 frames"):
        await measure(samples.long_gif(40_000), limits=UPLOADED)
    crumbs = samples.png(4, 4, *[samples.chunk(b"IDAT", b"")] * 100_001)
    with pytest.raises(InvalidImage, match="too many parts"):
        await measure(crumbs)
    claimed = samples.png(4, 4, samples.chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    with pytest.raises(TooLarge):
        await measure(claimed)


_GUARD = """
import anyio, resource, sys
from comfy_mcp.errors import TooLarge
from comfy_mcp import images

async def main() -> None:
    data = sys.stdin.buffer.read()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for work in (images.inspect(data), images.accept_upload(data), images.fit(data, max_bytes=100_000)):
        try:
            await work
        except TooLarge:
            continue
        raise SystemExit("a bomb was let in")
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(after.ru_maxrss - before.ru_maxrss, after.ru_utime - before.ru_utime, "PIL" in sys.modules)

anyio.run(main)
"""


@pytest.mark.parametrize("side", [13_000, 16_384])
def test_a_decompression_bomb_costs_neither_memory_nor_time(side: int) -> None:
    command = [sys.executable, "-c", _GUARD]
    done = subprocess.run(command, input=samples.bomb(side), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    kilobytes, seconds, decoder_loaded = done.stdout.decode().split()
    assert int(kilobytes) < 20_000
    assert float(seconds) < 1
    assert decoder_loaded == "False"


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(STILL)), changes=samples.changes())
async def test_garbled_pictures_raise_nothing_but_our_errors(name: str, changes: list[tuple[int, int]]) -> None:
    with suppress(OutputUnreadable, TooLarge):
        await inspect(samples.garbled(STILL[name], changes))
