"""Whether a video, sound or 3D file, or an AVIF, is all there, as far as its container says so.

Nothing is decoded and nothing measured. MP3, FLAC and text do not tell their length: any beginning of one passes.
Used inside images.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from comfy_mcp.images.damage import cut_off, garbled

__all__ = ["check_recording"]

_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)
"""What a program writes that sends a WAV before it knows where it will end."""
_MOST_BOXES = 100_000


def check_recording(data: bytes, mime: str) -> None:
    """Check the parts of a file against their lengths. Raises InvalidImage when the end is missing."""
    check = _CHECKS.get(mime)
    if check is None:
        return
    try:
        check(data)
    except (struct.error, IndexError):
        raise cut_off() from None


def _check_boxes(data: bytes) -> None:
    """Check the top-level boxes of MP4, QuickTime and AVIF. Raises InvalidImage."""
    at, kinds = 0, set[bytes]()
    for _ in range(_MOST_BOXES):
        if at >= len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
            header = 16
        elif length == 0:
            length = len(data) - at
        if length < header:
            raise garbled("a part has no length")
        kinds.add(kind)
        at += length
    if at > len(data) or not kinds & {b"moov", b"meta"}:
        raise cut_off()


def _wav(data: bytes) -> None:
    (size,) = struct.unpack_from("<I", data, 4)
    if size not in _UNKNOWN_LENGTHS and 8 + size > len(data):
        raise cut_off()


def _glb(data: bytes) -> None:
    (size,) = struct.unpack_from("<I", data, 8)
    if size > len(data):
        raise cut_off()


def _ogg(data: bytes) -> None:
    last = data.rfind(b"OggS")
    flags, segments = data[last + 5], data[last + 26]
    lengths = data[last + 27 : last + 27 + segments]
    if not flags & 4 or len(lengths) != segments or last + 27 + segments + sum(lengths) > len(data):
        raise cut_off()


def _matroska(data: bytes) -> None:
    at = 4
    header, at = _ebml_length(data, at)
    at += header or 0
    if data[at : at + 4] != b"\x18\x53\x80\x67":
        raise cut_off() if at + 4 > len(data) else garbled("it holds no recording")
    segment, at = _ebml_length(data, at + 4)
    if segment is not None and at + segment > len(data):
        raise cut_off()


def _ebml_length(data: bytes, at: int) -> tuple[int | None, int]:
    """The length that starts at ``at``, None for a live recording's "unknown", and where it ends."""
    width = 9 - data[at].bit_length()
    if width > 8 or at + width > len(data):
        raise cut_off()
    value = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), at + width


_CHECKS: dict[str, Callable[[bytes], None]] = {
    "image/avif": _check_boxes,
    "video/mp4": _check_boxes,
    "video/quicktime": _check_boxes,
    "audio/mp4": _check_boxes,
    "video/webm": _matroska,
    "video/x-matroska": _matroska,
    "audio/ogg": _ogg,
    "video/ogg": _ogg,
    "audio/wav": _wav,
    "model/gltf-binary": _glb,
}
