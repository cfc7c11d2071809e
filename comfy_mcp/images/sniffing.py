"""Names a file by its bytes, never by its name or by what a server says about it.

Owns the list of types we recognise; everything else is `application/octet-stream`. Looks at the first bytes only, so
it says nothing about whether the rest is there. Everyone may call it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Media", "sniff"]

Kind = Literal["image", "video", "audio", "model", "text", "unknown"]


@dataclass(frozen=True, slots=True)
class Media:
    """A type of file. ``suffix`` starts with a dot; ``inline`` says that a browser may show it in a page of ours."""

    mime: str
    kind: Kind
    suffix: str
    inline: bool = True


_PNG = Media("image/png", "image", ".png")
_JPEG = Media("image/jpeg", "image", ".jpg")
_WEBP = Media("image/webp", "image", ".webp")
_GIF = Media("image/gif", "image", ".gif")
_AVIF = Media("image/avif", "image", ".avif")
_MP4 = Media("video/mp4", "video", ".mp4")
_MOV = Media("video/quicktime", "video", ".mov")
_WEBM = Media("video/webm", "video", ".webm")
_MATROSKA = Media("video/x-matroska", "video", ".mkv", inline=False)
_OGG_VIDEO = Media("video/ogg", "video", ".ogv")
_WAV = Media("audio/wav", "audio", ".wav")
_FLAC = Media("audio/flac", "audio", ".flac")
_MP3 = Media("audio/mpeg", "audio", ".mp3")
_OGG = Media("audio/ogg", "audio", ".ogg")
_OPUS = Media("audio/ogg", "audio", ".opus")
_M4A = Media("audio/mp4", "audio", ".m4a")
_GLB = Media("model/gltf-binary", "model", ".glb", inline=False)
_JSON = Media("application/json", "text", ".json", inline=False)
_TEXT = Media("text/plain", "text", ".txt", inline=False)
_UNKNOWN = Media("application/octet-stream", "unknown", ".bin", inline=False)

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", _PNG),
    (b"\xff\xd8\xff", _JPEG),
    (b"GIF87a", _GIF),
    (b"GIF89a", _GIF),
    (b"fLaC", _FLAC),
    (b"ID3", _MP3),
    (b"glTF", _GLB),
)
_RIFF = {b"WEBP": _WEBP, b"WAVE": _WAV}
_AVIF_BRANDS = {b"avif", b"avis"}
_MP4_BRANDS = {
    b"isom",
    b"iso2",
    b"iso4",
    b"iso5",
    b"iso6",
    b"mp41",
    b"mp42",
    b"avc1",
    b"dash",
    b"M4V ",
    b"M4VP",
    b"MSNV",
}
_MOV_ATOMS = {b"moov", b"mdat", b"wide"}
_TEXT_SAMPLE = 8192
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\f\r") | {127}


def sniff(data: bytes) -> Media:
    """What ``data`` is. SVG, HTML and all that is not known are `application/octet-stream`, never shown inline."""
    for magic, media in _MAGIC:
        if data.startswith(magic):
            return media
    if data[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(data[8:12], _UNKNOWN)
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    if data[4:8] in _MOV_ATOMS:
        return _MOV
    if data.startswith(b"\x1aE\xdf\xa3"):
        return _WEBM if b"webm" in data[:64] else _MATROSKA if b"matroska" in data[:64] else _UNKNOWN
    if data.startswith(b"OggS"):
        return _OPUS if b"OpusHead" in data[:64] else _OGG_VIDEO if b"\x80theora" in data[:64] else _OGG
    if _starts_mp3_frame(data):
        return _MP3
    return _text(data)


def _by_brand(data: bytes) -> Media:
    """The ISO base media family: the major brand decides, the compatible ones only where it is a general one."""
    length = min(int.from_bytes(data[:4]), 256)
    major = data[8:12]
    brands = {data[at : at + 4] for at in range(16, length - 3, 4)} | {major}
    if major in _AVIF_BRANDS or (major in (b"mif1", b"msf1") and brands & _AVIF_BRANDS):
        return _AVIF
    if major == b"qt  ":
        return _MOV
    if major in (b"M4A ", b"M4B "):
        return _M4A
    return _MP4 if major in _MP4_BRANDS else _UNKNOWN


def _starts_mp3_frame(data: bytes) -> bool:
    """An MPEG layer III frame: eleven sync bits and no reserved version, bit rate or sampling rate."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    version, layer, bit_rate, sampling = data[1] >> 3 & 3, data[1] >> 1 & 3, data[2] >> 4, data[2] >> 2 & 3
    return version != 1 and layer == 1 and bit_rate not in (0, 15) and sampling != 3


def _text(data: bytes) -> Media:
    sample = data[:_TEXT_SAMPLE]
    try:
        text = sample.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        # The sample may end inside a character.
        if len(data) <= _TEXT_SAMPLE or failure.start < len(sample) - 3:
            return _UNKNOWN
        text = sample[: failure.start].decode("utf-8-sig")
    stripped = text.strip()
    # Markup can run scripts whatever it calls itself: SVG, HTML, XML.
    if not stripped or stripped.startswith("<") or not _CONTROLS.isdisjoint(sample):
        return _UNKNOWN
    ends = stripped[0].encode() + data[-64:].rstrip()[-1:]
    return _JSON if ends in (b"{}", b"[]") else _TEXT
