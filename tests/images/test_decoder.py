"""Where a picture is decoded: small plain ones here, all others in a process that is bounded and killed."""

from __future__ import annotations

import os
import struct
import sys
import time
import zlib
from pathlib import Path

import anyio
import pytest

from comfy_mcp import images
from comfy_mcp.errors import InvalidImage, TooLarge
from comfy_mcp.images import accept_upload, convert, decoder, fit
from tests.images import samples
from tests.security import bombs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def children() -> list[int]:
    """Our decoders that live, by the word of the kernel."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"images.program" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


async def decoding() -> int:
    """The process of the decoder that has just been started."""
    with anyio.fail_after(10):
        while not (found := children()):
            await anyio.sleep(0.005)
    return found[0]


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even the smallest picture is decoded in a process."""
    monkeypatch.setattr(decoder, "_THREAD_PIXELS", 0)


def metadata() -> bytes:
    return samples.encoded(samples.photo(60, 40, "RGBA"), "PNG", exif=samples.exif(6))


async def test_the_process_makes_what_the_thread_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, many = metadata(), samples.encoded(samples.photo(300, 200), "PNG")

    async def made() -> list[object]:
        return [
            await accept_upload(whole),
            await accept_upload(many),
            *[await convert(whole, mime, quality=80) for mime in ("image/png", "image/jpeg", "image/webp")],
            await fit(many, max_bytes=9_000, max_side=120),
        ]

    here = await made()
    monkeypatch.setattr(decoder, "_THREAD_PIXELS", 0)
    assert await made() == here


async def test_what_the_process_refuses_is_told_as_by_the_thread(anywhere: None) -> None:
    with pytest.raises(InvalidImage, match="cannot be decoded") as refused:
        await accept_upload(samples.png(64, 64, pixels=b"garbage"))
    assert refused.value.hint
    with pytest.raises(TooLarge, match="fit into 30 bytes"):
        await fit(metadata(), max_bytes=30)


async def test_a_small_plain_picture_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(anyio, "open_process", never)
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        await accept_upload(samples.encoded(samples.photo(64, 48), kind))
    for data in (samples.animated("GIF", 3), samples.encoded(samples.photo(64, 48), "AVIF"), bombs.black(2_100)):
        with pytest.raises(AssertionError):
            await accept_upload(data)


async def test_a_decoder_that_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "_SECONDS", 0.15)
    with pytest.raises(TooLarge, match="too long"):
        await accept_upload(bombs.black(5_700) + b"tail")
    assert children() == []


async def test_a_decoder_is_killed_when_nobody_waits_for_it() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(accept_upload, bombs.black(5_700) + b"tail")
        await decoding()
        tasks.cancel_scope.cancel()
    assert children() == []
    assert (await accept_upload(bombs.black(5_700))).width == 5_700


async def test_a_decoder_that_dies_blames_the_picture() -> None:
    async def kill() -> None:
        os.kill(await decoding(), 9)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        with pytest.raises(InvalidImage, match="cannot be decoded"):
            await accept_upload(bombs.black(5_700) + b"tail")


async def test_a_decoder_gets_no_more_memory_than_its_picture_needs(
    anywhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def little(pixels: int) -> int:
        return 120_000_000

    monkeypatch.setattr(decoder, "_memory", little)
    with pytest.raises(TooLarge, match="not enough memory"):
        await accept_upload(bombs.black(9_900), limits=images.MADE)
    assert (await accept_upload(metadata())).width == 40


async def test_the_largest_pictures_fit_into_their_memory() -> None:
    """33 megapixels, turned and converted, which takes most."""
    tall = samples.photo(400, 400).resize((5_740, 5_740))
    accepted = await accept_upload(samples.encoded(tall, "JPEG", exif=samples.exif(6)))
    assert (accepted.mime, accepted.width) == ("image/png", 5_740)


async def test_a_decoder_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_TOKEN", "sk-CANARY-of-the-environment")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(accept_upload, bombs.black(5_700))
        told = Path(f"/proc/{await decoding()}/environ").read_bytes()
        assert b"MALLOC_ARENA_MAX" in told and b"CANARY" not in told and b"WORKBENCH" not in told


@pytest.mark.parametrize("name", bombs.BOMBS)
async def test_a_bomb_is_refused_or_defused_at_once(name: str) -> None:
    data = bombs.BOMBS[name]()
    started = time.monotonic()
    try:
        accepted = await accept_upload(data)
    except (InvalidImage, TooLarge) as refused:
        assert refused.hint
    else:
        assert accepted.width * accepted.height <= images.UPLOADED.pixels
    assert time.monotonic() - started < 3


def test_a_picture_tells_its_size_once_or_by_the_larger_one() -> None:
    header = struct.pack(">IIBBBBB", 10_000, 9_999, 8, 0, 0, 0, 0)
    with pytest.raises(InvalidImage, match="size twice"):
        anyio.run(accept_upload, samples.png(8, 8, samples.chunk(b"IHDR", header), pixels=zlib.compress(bytes(72))))
    small = samples.encoded(samples.photo(16, 16), "JPEG")
    start = small.index(b"\xff\xc0")
    large = small[:start] + b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 9_999, 10_000) + small[start + 9 :]
    (length,) = struct.unpack_from(">H", small, start + 2)
    with pytest.raises(TooLarge):
        anyio.run(accept_upload, large[: start + 2 + length] + small[start:])
