"""A comparison as pictures: a table with the models side by side, in PNG, for chats and nodes that show images alone.

Draws what `layout` has laid out. CPU-bound, up to seconds for many pages: who serves others calls it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING

from llm_bridge.compare.reports.fonts import Fonts, find_fonts
from llm_bridge.compare.reports.layout import Band, Layout, Line, Look, Sheet
from llm_bridge.compare.reports.lettering import Lettering
from llm_bridge.compare.results import Results
from llm_bridge.errors import NotInstalled

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Pictures", "picture", "pictures"]

_LIGHT = {
    "back": (255, 255, 255),
    "head": (244, 244, 241),
    "rule": (221, 220, 214),
    "failed": (253, 238, 236),
    "missing": (247, 247, 245),
    "title": (29, 29, 27),
    "name": (29, 29, 27),
    "text": (29, 29, 27),
    "quiet": (94, 94, 88),
    "bad": (171, 35, 28),
    "good": (29, 107, 65),
}
_DARK = {
    "back": (24, 24, 23),
    "head": (36, 36, 34),
    "rule": (60, 60, 56),
    "failed": (61, 35, 32),
    "missing": (30, 30, 29),
    "title": (236, 234, 229),
    "name": (236, 234, 229),
    "text": (236, 234, 229),
    "quiet": (169, 168, 160),
    "bad": (255, 176, 166),
    "good": (134, 211, 165),
}


@dataclass(frozen=True, slots=True)
class Pictures:
    """``pages`` are PNG files of one size. ``notes`` say what they do not show; they stand on the pages too."""

    pages: tuple[bytes, ...] = field(repr=False)
    notes: tuple[str, ...] = ()


def picture(results: Results, look: Look | None = None, fonts: Fonts | None = None) -> bytes:
    """The first page alone, which says how many there are.

    Raises: NotInstalled without Pillow.
    """
    return pictures(results, look, fonts).pages[0]


def pictures(results: Results, look: Look | None = None, fonts: Fonts | None = None) -> Pictures:
    """All pages; the same results, look and fonts give the same bytes. ``fonts`` are those of this machine if None.

    Raises: NotInstalled without Pillow.
    """
    look = look or Look()
    hands = _hands(fonts or find_fonts(), look)
    layout = Layout(results, look, hands)
    sheets = list(islice(layout.sheets(), look.pages + 1))
    left_out = len(sheets) > look.pages
    sheets = sheets[: look.pages]
    notes = tuple(_notes(hands.values(), left_out))
    height = min(look.height, max(layout.height(sheet) for sheet in sheets))
    drawing = _Drawing(layout, _DARK if look.dark else _LIGHT, height)
    ends = [f"Page {number} of {len(sheets)}" if len(sheets) > 1 else "" for number in range(1, len(sheets) + 1)]
    pages = tuple(drawing.page(sheet, (end, *notes)) for sheet, end in zip(sheets, ends, strict=True))
    return Pictures(pages, notes)


def _hands(fonts: Fonts, look: Look) -> dict[str, Lettering]:
    try:
        import PIL.Image as _  # noqa: F401
    except ImportError:
        raise NotInstalled("Pictures need Pillow.", hint="Install it with `pip install pillow`.") from None
    text, small = Lettering(fonts, look.size), Lettering(fonts, max(8, round(look.size * 0.85)))
    title, name = Lettering(fonts, round(look.size * 1.5), bold=True), Lettering(fonts, look.size, bold=True)
    return {"title": title, "name": name, "text": text, "quiet": small, "bad": small, "good": small}


def _notes(hands: Iterable[Lettering], left_out: bool) -> Iterable[str]:
    used = list(hands)
    if left_out:
        yield "More rows than these pages hold; the other reports have them all."
    missing = sorted(set[str]().union(*(hand.missing for hand in used)))
    if missing:
        codes = ", ".join(f"U+{ord(letter):04X}" for letter in missing[:8])
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        yield f"No font here has {codes}{more}, shown as boxes: install a font for them, such as Noto Sans CJK."
    if any(hand.unshaped for hand in used):
        yield "Text from right to left is not in its order: this Pillow is built without Raqm."


class _Drawing:
    def __init__(self, layout: Layout, colours: dict[str, tuple[int, int, int]], height: int) -> None:
        self._layout = layout
        self._colours = colours
        self._height = height

    def page(self, sheet: Sheet, foot: Sequence[str]) -> bytes:
        from PIL import Image

        layout = self._layout
        image = Image.new("RGB", (layout.look.width, self._height), self._colours["back"])
        self._lines(
            image, sheet.above, layout.margin, layout.margin - layout.padding, layout.look.width - layout.margin
        )
        y = layout.margin + layout.tall(sheet.above)
        self._fill(image, (layout.margin, y, layout.look.width - layout.margin, y + sheet.head.height), "head")
        for band in (sheet.head, *sheet.bands):
            self._band(image, band, y)
            y += band.height
        self._rule(image, y)
        wide = layout.look.width - 2 * layout.margin
        noted = [line for note in foot if note for line in layout.lines(note, "quiet", wide, 2)]
        self._lines(image, noted[:4], layout.margin, y + layout.padding // 2, layout.look.width - layout.margin)
        target = BytesIO()
        image.save(target, "PNG", compress_level=6)
        return target.getvalue()

    def _band(self, image: Image, band: Band, y: int) -> None:
        layout = self._layout
        x, wide = layout.margin, layout.label
        for lines, ground in zip(band.cells, band.grounds, strict=True):
            if ground:
                self._fill(image, (x, y, x + wide, y + band.height), ground)
            self._lines(image, lines, x + layout.padding, y, x + wide - layout.padding)
            x, wide = x + wide, layout.column
        self._rule(image, y)

    def _lines(self, image: Image, lines: Iterable[Line], x: int, y: int, right: int) -> None:
        y += self._layout.padding
        for line in lines:
            hand = self._layout.hands[line.kind]
            y += line.space
            hand.draw(image, (x, y + round(hand.line * 0.75)), line.text, self._colours[line.kind], right=right)
            y += hand.line

    def _fill(self, image: Image, box: tuple[int, int, int, int], colour: str) -> None:
        image.paste(self._colours[colour], box)

    def _rule(self, image: Image, y: int) -> None:
        right = self._layout.look.width - self._layout.margin
        self._fill(image, (self._layout.margin, y, right, y + 1), "rule")
