"""Pictures and other files for tests, made at once so that no binary lies in the repository."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

GPS_MARK = b"Secret Street"
"""Stands in the metadata of every picture that has some."""


def noise(width: int, height: int, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """The hardest picture to compress."""
    shape = (height, width, len(mode)) if len(mode) > 1 else (height, width)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels)


def photo(width: int, height: int, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """Soft shapes with some grain: about as hard to compress as a photo."""
    coarse = noise(12, 12, "RGB", seed).resize((width, height), Image.Resampling.BICUBIC)
    picture = Image.blend(coarse, noise(width, height, "RGB", seed), 0.06)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize((width, height)))
    return picture.convert(mode)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def comfyui_png(picture: Image.Image, prompt: str = '{"3": {"class_type": "KSampler"}}') -> bytes:
    """As SaveImage writes it: the workflow in a text chunk."""
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", prompt)
    return encoded(picture, "PNG", pnginfo=text)


def exif(orientation: int = 1) -> Image.Exif:
    """A camera's note: which side is up, and where it was."""
    note = Image.Exif()
    note[0x0112] = orientation
    note[0x010F] = GPS_MARK.decode()
    note.get_ifd(0x8825)[29] = GPS_MARK.decode()
    return note


def animated(kind: str, frames: int, size: tuple[int, int] = (24, 16), **options: Any) -> bytes:
    pictures = [noise(*size, seed=seed) for seed in range(frames)]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=50, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes, pixels: bytes = b"") -> bytes:
    """A gray PNG put together by hand; without ``pixels`` its picture is empty, which no header tells."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@cache
def bomb(side: int) -> bytes:
    """A true decompression bomb: ``side``² black pixels in about a thousandth of the bytes."""
    packer = zlib.compressobj(1)
    row = bytes(side + 1)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png(side, side, pixels=pixels)


def long_gif(frames: int) -> bytes:
    """A valid GIF of one pixel per frame."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame * frames + b"\x3b"


def wav(seconds: float = 0.1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(int(8000 * seconds) * 2))
    return file.getvalue()


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


def mp4(brand: bytes = b"isom") -> bytes:
    """The moov box is last, as encoders write it unless told otherwise."""
    return box(b"ftyp", brand + bytes(4) + b"isomiso2") + box(b"mdat", bytes(500)) + box(b"moov", bytes(100))


def webm(*, live: bool = False) -> bytes:
    header = b"\x42\x82\x84webm"
    body = bytes(300)
    length = b"\x01" + b"\xff" * 7 if live else b"\x41" + bytes((300 - 256,))
    return b"\x1aE\xdf\xa3" + bytes((0x80 | len(header),)) + header + b"\x18\x53\x80\x67" + length + body


def ogg(first: bytes = b"OpusHead") -> bytes:
    def page(flags: int, data: bytes) -> bytes:
        return b"OggS\0" + bytes((flags,)) + bytes(20) + bytes((1, len(data))) + data

    return page(2, first.ljust(40, b"\0")) + page(0, bytes(200)) + page(4, bytes(100))


def glb() -> bytes:
    return b"glTF" + struct.pack("<II", 2, 112) + bytes(100)


def changes() -> st.SearchStrategy[list[tuple[int, int]]]:
    """Places, counted round and round, and the bytes to put there; near the start is where the structure lies."""
    place = st.one_of(st.integers(0, 100), st.integers(0, 5000))
    return st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=8)


def garbled(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for place, byte in changes:
        changed[place % len(changed)] = byte
    return bytes(changed)


def still_pictures() -> Mapping[str, bytes]:
    """One small whole picture of each type, by name."""
    picture = photo(40, 30)
    return {
        "png": encoded(picture, "PNG"),
        "png with a workflow": comfyui_png(picture),
        "jpeg": encoded(picture, "JPEG"),
        "progressive jpeg": encoded(picture, "JPEG", progressive=True),
        "jpeg with restart markers": encoded(picture, "JPEG", restart_marker_rows=1),
        "jpeg with a thumbnail in its metadata": encoded(picture, "JPEG", exif=b"Exif\0\0" + encoded(picture, "JPEG")),
        "webp": encoded(picture, "WEBP"),
        "lossless webp": encoded(picture, "WEBP", lossless=True),
        "webp with alpha": encoded(photo(40, 30, "RGBA"), "WEBP"),
        "gif": encoded(picture, "GIF"),
        "avif": encoded(picture, "AVIF"),
    }
