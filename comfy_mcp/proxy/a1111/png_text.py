"""Texts in PNG files: A1111 keeps how a picture was made in one named `parameters`.

Owns writing that text and reading such texts within bounds; files come from strangers. Never decodes a pixel.
"""

from __future__ import annotations

import struct
import zlib

from comfy_mcp.images import measure, sniff
from comfy_mcp.images.threads import run_slow

__all__ = ["MOST_TEXT", "parameters_of", "texts_of", "with_text"]

MOST_TEXT = 1 << 20
"""Bytes that all texts of a picture may have together, unpacked."""

_MOST_TEXTS = 64
_MOST_PACKED = 1032
"""How many times larger zlib can unpack a byte."""

_HEAD = 33
"""Bytes of the signature and the first chunk, which tells the size."""


def with_text(data: bytes, key: str, text: str) -> bytes:
    """The PNG with a text, as Pillow writes it: tEXt where Latin-1 will do, otherwise iTXt."""
    try:
        kind, body = b"tEXt", key.encode() + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        kind, body = b"iTXt", key.encode() + b"\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:_HEAD] + chunk + data[_HEAD:]


async def texts_of(data: bytes) -> dict[str, str]:
    """The texts of a picture; none of one that is no PNG.

    Raises:
        InvalidImage: no whole picture.
        TooLarge: more pixels than ComfyUI may make.
    """
    await measure(data)
    return await run_slow(lambda: _texts_in(data), pixels=0) if sniff(data).mime == "image/png" else {}


def _texts_in(data: bytes) -> dict[str, str]:
    """The texts of a whole PNG by name, as far as they are within the bounds. What cannot be read counts, too: nothing
    else holds back who sends it again and again."""
    found: dict[str, str] = {}
    at, seen, left = 8, 0, MOST_TEXT
    while at + 12 <= len(data) and seen < _MOST_TEXTS and left > 0:
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            seen += 1
            key, _, rest = data[at + 8 : at + 8 + length].partition(b"\0")
            text, cost = _unpacked(kind, rest, left)
            left -= cost
            if text is not None:
                found[key[:79].decode("latin-1")] = text
        at += 12 + length
    return found


def _unpacked(kind: bytes, rest: bytes, most: int) -> tuple[str | None, int]:
    """The text, and how many bytes it cost; None when there are more than ``most``, or none can be made out."""
    packed, encoding = kind == b"zTXt", "latin-1"
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":
        packed, encoding = rest[:1] == b"\1", "utf-8"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, most + 1)
        except zlib.error:
            return None, len(rest) * _MOST_PACKED
    if len(rest) > most:
        return None, len(rest) if packed else 0
    return rest.decode(encoding, "replace"), len(rest)


def parameters_of(text: str) -> dict[str, str]:
    """A1111's text as a table (`modules/infotext_utils.py`): the prompts, and what the last line says."""
    *words, last = text.strip().split("\n")
    facts = _facts(last)
    if len(facts) < 3:
        words, facts = [*words, last], {}
    prompt, _, negative = "\n".join(words).partition("Negative prompt:")
    width, by, height = facts.get("Size", "").partition("x")
    sizes = {"Size-1": width, "Size-2": height} if by else {}
    return {"Prompt": prompt.strip(), "Negative prompt": negative.strip(), **facts, **sizes}


def _facts(line: str) -> dict[str, str]:
    """`Steps: 20, Model: "a, b"` as a table; a comma between quotes parts nothing."""
    parts, quoted, escaped = [""], False, False
    for letter in line[:10_000]:
        quoted ^= letter == '"' and not escaped
        escaped = letter == "\\" and not escaped
        if letter == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    pairs = (part.partition(":") for part in parts)
    return {key.strip(): value.strip().strip('"') for key, colon, value in pairs if colon and key.strip()}
