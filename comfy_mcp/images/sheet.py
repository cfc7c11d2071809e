"""A contact sheet: pictures in a grid, with what made each of them along its edges.

Owns its layout. Imported late, like decoding. Used by the workbench's sweeps.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.Image import Image as Picture

from comfy_mcp.errors import WorkbenchError
from comfy_mcp.images.decoding import opened, to_eight_bits, turn_upright
from comfy_mcp.images.sniffing import sniff

__all__ = ["draw_sheet"]

_GAP, _LETTER = 8, 20
_MOST_LETTERS = 40
_PAPER, _INK, _EMPTY = (24, 24, 28), (235, 235, 240), (52, 52, 60)


def draw_sheet(
    columns: Sequence[str], rows: Sequence[str], cells: Sequence[bytes | str], side: int, *, title: str = ""
) -> bytes:
    """PNG bytes of the sheet.

    ``cells`` are row by row, at most ``side`` pixels long: the bytes of a picture, or a text that says why there is
    none. ``rows`` may be one empty label, for a sheet of one parameter.
    """
    thumbs = [_thumbnail(cell, side) if isinstance(cell, bytes) else cell for cell in cells]
    sizes = [thumb.size for thumb in thumbs if not isinstance(thumb, str)] or [(side, side)]
    width, height = max(size[0] for size in sizes), max(size[1] for size in sizes)
    font = ImageFont.load_default(_LETTER)
    rows_shown = [_short(row) for row in rows]
    left = max(int(font.getlength(row)) for row in rows_shown)
    left += 2 * _GAP if left else _GAP
    top = (_LETTER + 2 * _GAP) * (2 if title else 1)
    size = left + len(columns) * (width + _GAP), top + len(rows) * (height + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((_GAP, _GAP), _short(title, size[0] // 10), _INK, font)
    for column, label in enumerate(columns):
        place = left + column * (width + _GAP), top - _LETTER - _GAP
        draw.text(place, _short(label, width // 10), _INK, font)
    for index, thumb in enumerate(thumbs):
        row, column = divmod(index, len(columns))
        x, y = left + column * (width + _GAP), top + row * (height + _GAP)
        if column == 0 and rows_shown[row]:
            draw.text((_GAP, y + height // 2 - _LETTER // 2), rows_shown[row], _INK, font)
        if isinstance(thumb, str):
            draw.rectangle((x, y, x + width - 1, y + height - 1), _EMPTY)
            draw.text((x + _GAP, y + height // 2 - _LETTER // 2), _short(thumb, width // 10), _INK, font)
        else:
            sheet.paste(thumb, (x + (width - thumb.width) // 2, y + (height - thumb.height) // 2))
    written = io.BytesIO()
    sheet.save(written, "PNG")
    return written.getvalue()


def _thumbnail(data: bytes, side: int) -> Picture | str:
    try:
        with opened(data, sniff(data).mime) as image:
            image.load()
            turn_upright(image)
            picture = to_eight_bits(image).convert("RGB")
            return ImageOps.contain(picture, (side, side))
    except WorkbenchError:
        return "unreadable"


def _short(text: str, most: int = _MOST_LETTERS) -> str:
    """The end of a long label, where names of files differ least, is left out; so is what the letters lack."""
    shown = "".join(letter if letter.isprintable() and ord(letter) < 0x250 else "?" for letter in text)
    return shown if len(shown) <= most else shown[: max(1, most - 1)] + "…"
