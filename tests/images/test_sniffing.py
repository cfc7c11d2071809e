"""A file is what its bytes say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.images import sniff
from tests.images import samples

PICTURE = samples.photo(8, 8)
KNOWN = {
    "png": (samples.encoded(PICTURE, "PNG"), "image/png", ".png", True),
    "jpeg": (samples.encoded(PICTURE, "JPEG"), "image/jpeg", ".jpg", True),
    "webp": (samples.encoded(PICTURE, "WEBP"), "image/webp", ".webp", True),
    "animated webp": (samples.animated("WEBP", 3), "image/webp", ".webp", True),
    "gif": (samples.encoded(PICTURE, "GIF"), "image/gif", ".gif", True),
    "avif": (samples.encoded(PICTURE, "AVIF"), "image/avif", ".avif", True),
    "mp4": (samples.mp4(), "video/mp4", ".mp4", True),
    "mov": (samples.mp4(b"qt  "), "video/quicktime", ".mov", True),
    "old mov": (samples.box(b"moov", bytes(20)), "video/quicktime", ".mov", True),
    "m4a": (samples.mp4(b"M4A "), "audio/mp4", ".m4a", True),
    "webm": (samples.webm(), "video/webm", ".webm", True),
    "wav": (samples.wav(), "audio/wav", ".wav", True),
    "flac": (b"fLaC" + bytes(40), "audio/flac", ".flac", True),
    "mp3 with tags": (b"ID3\x04" + bytes(40), "audio/mpeg", ".mp3", True),
    "mp3": (b"\xff\xfb\x90\x64" + bytes(40), "audio/mpeg", ".mp3", True),
    "opus": (samples.ogg(), "audio/ogg", ".opus", True),
    "vorbis": (samples.ogg(b"\x01vorbis"), "audio/ogg", ".ogg", True),
    "theora": (samples.ogg(b"\x80theora"), "video/ogg", ".ogv", True),
    "glb": (samples.glb(), "model/gltf-binary", ".glb", False),
    "json": (b'\xef\xbb\xbf {"a": 1}\n', "application/json", ".json", False),
    "text": ("Ein Kätzchen, 猫".encode(), "text/plain", ".txt", False),
    "long text cut inside a letter": (b"a" + "é".encode() * 9001, "text/plain", ".txt", False),
}
UNKNOWN = {
    "nothing": b"",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "xml": b'\xef\xbb\xbf  <?xml version="1.0"?><svg/>',
    "html": b"\n<!DOCTYPE html><script>alert(1)</script>",
    "heic": samples.mp4(b"heic"),
    "fits": b"SIMPLE  =                    T".ljust(2880) + bytes(80),
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n\x00",
    "psd": b"8BPS\0\1" + bytes(40),
    "tiff": b"II*\0" + bytes(40),
    "bmp": b"BM" + bytes(60),
    "ico": b"\0\0\1\0" + bytes(60),
    "avi": b"RIFF\x10\0\0\0AVI " + bytes(16),
    "aac": b"\xff\xf1\x50\x80" + bytes(40),
    "zip": b"PK\3\4" + bytes(40),
    "elf": b"\x7fELF" + bytes(40),
    "utf-16": "text".encode("utf-16"),
    "escape codes": b"\x1b[31mred",
    "not utf-8": b"caf\xe9",
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_types_are_named_by_their_bytes(name: str) -> None:
    data, mime, suffix, inline = KNOWN[name]
    media = sniff(data)
    assert (media.mime, media.suffix, media.inline) == (mime, suffix, inline)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_or_could_run_scripts_is_never_shown(name: str) -> None:
    media = sniff(UNKNOWN[name])
    assert (media.mime, media.inline) == ("application/octet-stream", False)


def test_a_page_behind_the_signature_of_a_picture_is_a_picture_and_nothing_else() -> None:
    assert sniff(b"\x89PNG\r\n\x1a\n<html><script>alert(1)</script>").mime == "image/png"
    assert sniff(b"GIF89a=1;/*").mime == "image/gif"


def test_a_page_inside_a_text_is_not_shown() -> None:
    media = sniff(b"hello <script>alert(1)</script>")
    assert (media.mime, media.inline) == ("text/plain", False)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_name(data: bytes) -> None:
    media = sniff(data)
    assert media.suffix.startswith(".")
    assert "/" in media.mime


@pytest.mark.parametrize("name", KNOWN)
def test_every_beginning_has_a_name(name: str) -> None:
    data = KNOWN[name][0]
    for end in range(min(len(data), 100)):
        assert sniff(data[:end]).mime
