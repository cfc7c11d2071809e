"""Text on a picture, letter by letter in a font that has it: measured, wrapped and drawn.

Owns the choice of the font for each run, and the box with its code point for a letter that no font has. Pillow is
imported when it is needed; what a line says and where it stands is `picture`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING

from llm_bridge.compare.reports.fonts import Face, Fonts

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

__all__ = ["Lettering", "clusters"]

Colour = tuple[int, int, int]

# Fonts of bitmaps open at the size of their pictures alone; larger ones are asked first.
_STRIKES = (109, 136, 128, 160, 96, 64)
_LONGEST_CLUSTER = 24
_CJK = "\u2e80-\u2fdf\u3040-\u30ff\u31c0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Where a line may end: after spaces, and around a Chinese or Japanese letter, but not before what closes.
_CLOSING = "、。，．：；！？）」』】》〉”’…,.:;!?)\\]"
_SPACE = "(?!\u00a0)\\s"
_TOKEN = re.compile(rf"(?:{_SPACE})+|[{_CJK}][{_CLOSING}]*|(?:(?!{_SPACE}|[{_CJK}]).)+")
_RIGHT_TO_LEFT = ("R", "AL")
# What says the same where a machine has no font but Pillow's own.
_ALIKE = {"–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "→": "->", "×": "x", "·": "-", "…": "..."}


class Lettering:
    """Letters of one size in pixels. ``missing`` collects those that no font has;
    ``unshaped`` tells that there were some from right to left which this Pillow cannot put in order.

    CPU-bound, and not for several threads at once.

    Raises: ImportError without Pillow.
    """

    def __init__(self, fonts: Fonts, size: int, *, bold: bool = False) -> None:
        self.size = size
        self.missing: set[str] = set()
        self.unshaped = False
        self._text = fonts.bold if bold else fonts.text
        self._emoji = fonts.emoji
        self._faces: dict[str, Face | None] = {}
        self._open: dict[Face, tuple[FreeTypeFont, float] | None] = {}
        self._widths: dict[str, float] = {}

    @property
    def line(self) -> int:
        """From one baseline to the next, in pixels."""
        return round(self.size * 1.45)

    @cached_property
    def shapes(self) -> bool:
        """Whether letters are joined and turned as Arabic and Hebrew need."""
        from PIL import features

        return bool(features.check("raqm"))

    def width(self, text: str) -> float:
        """In pixels."""
        if text not in self._widths:
            self._widths[text] = sum(self._run_width(face, run) for face, run in self._runs(text))
        return self._widths[text]

    def wrap(self, text: str, width: int, lines: int) -> list[str]:
        """At most ``lines`` lines that are not wider; the last ends with … when there is more."""
        # No letter is narrower than a pixel for long, so that more text than this cannot be seen.
        shown = text[: lines * (width + 1)]
        cut = len(shown) < len(text)
        wrapped: list[str] = []
        for paragraph in re.sub("\n{3,}", "\n\n", shown.expandtabs(4)).strip("\n").split("\n"):
            for line in self._wrapped(paragraph, width):
                if len(wrapped) == lines:
                    return [*wrapped[:-1], self._shortened(wrapped[-1], width)]
                wrapped.append(line)
        return [*wrapped[:-1], self._shortened(wrapped[-1], width)] if cut else wrapped

    def draw(self, image: Image, place: tuple[int, int], text: str, colour: Colour, *, right: int = 0) -> None:
        """On the baseline at ``place``. Text that runs from right to left ends at ``right``, when that is given."""
        x, y = float(place[0]), place[1]
        runs = list(self._runs(text))
        if self.shapes and _direction(text) in _RIGHT_TO_LEFT:
            runs.reverse()
            x = max(x, right - self.width(text))
        for face, run in runs:
            self._draw_run(image, (x, y), face, run, colour)
            x += self._run_width(face, run)

    def _wrapped(self, paragraph: str, width: int) -> Iterator[str]:
        line, taken = "", 0.0
        for token in _TOKEN.findall(paragraph):
            wide = self.width(token)
            if taken + wide <= width or token.isspace():
                line, taken = line + token, taken + wide
                continue
            if line.strip():
                yield line.rstrip()
            *whole, line = self._broken(token, width)
            yield from whole
            taken = self.width(line)
        yield line.rstrip()

    def _broken(self, token: str, width: int) -> Iterator[str]:
        """A word that is wider than a line, in parts."""
        part, taken = "", 0.0
        for cluster in clusters(token):
            wide = self.width(cluster)
            if part and taken + wide > width:
                yield part
                part, taken = "", 0.0
            part, taken = part + cluster, taken + wide
        yield part

    def _shortened(self, line: str, width: int) -> str:
        parts = list(clusters(line))
        while parts and self.width("".join(parts).rstrip() + "…") > width:
            parts.pop()
        return "".join(parts).rstrip() + "…"

    def _runs(self, text: str) -> Iterator[tuple[Face | None, str]]:
        """Neighbours of one font together; those that none has one by one."""
        faces = [(self._face(cluster), cluster) for cluster in clusters(text.translate(self._stand_ins))]
        for face, group in groupby(faces, key=lambda pair: pair[0]):
            parts = [cluster for _, cluster in group]
            if face is None:
                yield from ((None, part) for part in parts)
            else:
                yield face, "".join(_drawable(part, face) for part in parts)

    @cached_property
    def _stand_ins(self) -> dict[int, str]:
        return {ord(mark): alike for mark, alike in _ALIKE.items() if self._chosen(mark) is None}

    def _face(self, cluster: str) -> Face | None:
        if cluster not in self._faces:
            self._faces[cluster] = self._chosen(cluster)
            self.unshaped |= not self.shapes and unicodedata.bidirectional(cluster[0]) in _RIGHT_TO_LEFT
            if self._faces[cluster] is None:
                self.missing.add(cluster[0])
        return self._faces[cluster]

    def _chosen(self, cluster: str) -> Face | None:
        needed = [letter for letter in cluster if not _unseen(letter)]
        picture = cluster[0] >= "\U0001f000" or "\ufe0f" in cluster or "\u20e3" in cluster
        faces = (*self._emoji, *self._all_text) if picture else (*self._all_text, *self._emoji)
        # A font with the letter but not with its accents is better than none.
        for letters in (needed, needed[:1]):
            for face in faces:
                if all(letter in face.coverage for letter in letters) and self._font(face):
                    self.missing.update(letter for letter in needed if letter not in face.coverage)
                    return face
        return None

    @cached_property
    def _all_text(self) -> tuple[Face, ...]:
        """With the letters that Pillow itself brings, which are Latin, at the end."""
        from PIL import ImageFont

        own = ImageFont.load_default(self.size)
        data = own.path if isinstance(own, ImageFont.FreeTypeFont) else None
        return (*self._text, Face(data.getvalue())) if isinstance(data, BytesIO) else self._text

    def _font(self, face: Face) -> tuple[FreeTypeFont, float] | None:
        """The open font, and by how much what it draws is scaled; None when FreeType cannot draw it."""
        if face not in self._open:
            self._open[face] = self._opened(face)
        return self._open[face]

    def _opened(self, face: Face) -> tuple[FreeTypeFont, float] | None:
        from PIL import ImageFont

        for size in (self.size, *_STRIKES):
            source = BytesIO(face.source) if isinstance(face.source, bytes) else str(face.source)
            try:
                font = ImageFont.truetype(source, size, face.index)
                seen = _sample(face)
                # Some emoji fonts hold drawings of a kind that FreeType leaves empty.
                if font.getmask(seen, mode="RGBA" if face in self._emoji else "L").getbbox() is None:
                    return None
                return font, self.size * 1.15 / size if size != self.size else 1.0
            except OSError:
                continue
        return None

    def _run_width(self, face: Face | None, run: str) -> float:
        if face is None:
            return round(self.size * 0.9)
        opened = self._font(face)
        return opened[0].getlength(run) * opened[1] if opened else 0.0

    def _draw_run(self, image: Image, place: tuple[float, int], face: Face | None, run: str, colour: Colour) -> None:
        from PIL import ImageDraw

        opened = self._font(face) if face else None
        if opened is None:
            self._draw_box(image, (round(place[0]), place[1]), ord(run[0]), colour)
        elif opened[1] == 1.0:
            ImageDraw.Draw(image).text(place, run, colour, opened[0], "ls", embedded_color=face in self._emoji)
        else:
            self._draw_scaled(image, (round(place[0]), place[1]), run, opened)

    def _draw_scaled(self, image: Image, place: tuple[int, int], run: str, opened: tuple[FreeTypeFont, float]) -> None:
        from PIL import Image, ImageDraw

        font, scale = opened
        ascent, descent = font.getmetrics()
        size = max(1, round(font.getlength(run))), ascent + descent
        drawn = Image.new("RGBA", size)
        ImageDraw.Draw(drawn).text((0, ascent), run, (128, 128, 128, 255), font, "ls", embedded_color=True)
        small = drawn.resize((max(1, round(size[0] * scale)), max(1, round(size[1] * scale))), Image.Resampling.LANCZOS)
        # As high above the baseline as letters are, and a little below it.
        image.paste(small, (place[0], place[1] - round(self.size * 0.95)), small)

    def _draw_box(self, image: Image, place: tuple[int, int], code: int, colour: Colour) -> None:
        """A frame with the code point in it, two lines of hexadecimal digits."""
        from PIL import ImageDraw, ImageFont

        draw, (x, y) = ImageDraw.Draw(image), place
        width, high = round(self.size * 0.9), round(self.size * 0.95)
        draw.rectangle((x + 1, y - high + 2, x + width - 2, y + 2), outline=colour)
        digits = f"{code:04X}" if code < 0x10000 else f"{code:06X}"
        font = ImageFont.load_default(max(5, round(self.size * (0.42 if len(digits) == 4 else 0.32))))
        half = len(digits) // 2
        for number, part in enumerate((digits[:half], digits[half:])):
            center = x + width / 2 - 0.5, y + 2 - high * (0.72 - 0.44 * number)
            draw.text(center, part, colour, font, "mm")


def clusters(text: str) -> Iterator[str]:
    """Letters with the accents and joiners that belong to them; each is drawn in one font."""
    part = ""
    for letter in text:
        if part and (len(part) >= _LONGEST_CLUSTER or not _continues(part, letter)):
            yield part
            part = ""
        part += letter
    if part:
        yield part


def _continues(part: str, letter: str) -> bool:
    if _flag(letter):
        return len(part) == 1 and _flag(part)
    return (
        part[-1] == "\u200d"
        or letter in "\u200d\ufe0e\ufe0f"
        or "\U0001f3fb" <= letter <= "\U0001f3ff"
        or "\U000e0020" <= letter <= "\U000e007f"
        or unicodedata.category(letter)[0] == "M"
    )


def _flag(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"


def _unseen(letter: str) -> bool:
    """Spaces and marks that steer: they need no glyph."""
    return unicodedata.category(letter) in ("Cf", "Zs", "Zl", "Zp") or "\ufe00" <= letter <= "\ufe0f"


def _drawable(cluster: str, face: Face) -> str:
    """Without what the font would draw as a hole."""
    return "".join(
        letter if letter in face.coverage else " " if unicodedata.category(letter) == "Zs" else "" for letter in cluster
    )


def _sample(face: Face) -> str:
    """A letter of the font that is sure to be seen."""
    return next((letter for letter in "Hm中😀☺" if letter in face.coverage), chr(face.coverage.starts[-1]))


def _direction(text: str) -> str:
    """That of the first letter that has one, as Unicode names it; "" when none has."""
    return next((kind for letter in text if (kind := unicodedata.bidirectional(letter)) in ("L", *_RIGHT_TO_LEFT)), "")
