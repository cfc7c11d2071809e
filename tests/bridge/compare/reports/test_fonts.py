from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageFont

from llm_bridge.compare.reports.coverage import Coverage, coverage
from llm_bridge.compare.reports.fonts import Face, Fonts, find_fonts
from llm_bridge.compare.reports.lettering import Lettering, clusters


def own_font() -> bytes:
    """The one that Pillow brings: Latin letters only."""
    font = ImageFont.load_default(16)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert isinstance(font.path, BytesIO)
    return font.path.getvalue()


def font_of(*tables: tuple[int, int, bytes]) -> bytes:
    """A file with nothing in it but these tables of letters: platform, encoding and content."""
    head, body = struct.pack(">HH", 0, len(tables)), b""
    for platform, encoding, content in tables:
        head += struct.pack(">HHI", platform, encoding, 4 + 8 * len(tables) + len(body))
        body += content
    file = struct.pack(">IHHHH", 0x10000, 1, 0, 0, 0) + struct.pack(">4sIII", b"cmap", 0, 28, len(head + body))
    return file + head + body


def format_4(*segments: tuple[int, int, int, int], glyphs: tuple[int, ...] = ()) -> bytes:
    """Segments of start, end, delta and offset."""
    starts, ends, deltas, offsets = zip(*segments, strict=True)
    count = len(segments)
    lists = struct.pack(f">{count}HH{3 * count}H", *ends, 0, *starts, *deltas, *offsets)
    tail = struct.pack(f">{len(glyphs)}H", *glyphs)
    return struct.pack(">HHHHHHH", 4, 14 + len(lists + tail), 0, 2 * count, 0, 0, 0) + lists + tail


def format_12(*groups: tuple[int, int, int]) -> bytes:
    content = b"".join(struct.pack(">III", *group) for group in groups)
    return struct.pack(">HHIII", 12, 0, 16 + len(content), 0, len(groups)) + content


FONT = own_font()
NO_FONTS = Fonts()


def test_the_coverage_of_a_font_is_what_it_can_draw() -> None:
    found = coverage(FONT)
    assert all(letter in found for letter in "Aaz09~!©")
    assert not any(letter in found for letter in "中あ한😀א\ue000")


def test_both_formats_of_the_table_are_read_and_glyph_0_is_no_letter() -> None:
    # a to c by delta, of which b has glyph 0; x to z by a list, of which y has 0; the end as the format wants it.
    short = format_4(
        (0x61, 0x61, 1, 0),
        (0x62, 0x62, 0x10000 - 0x62, 0),
        (0x63, 0x63, 1, 0),
        (0x78, 0x7A, 1, 4),
        (0xFFFF, 0xFFFF, 1, 0),
        glyphs=(5, 0, 6),
    )
    assert [letter for letter in "`abcdwxyz{" if letter in coverage(font_of((3, 1, short)))] == ["a", "c", "x", "z"]
    long = format_12((0x4E00, 0x4E02, 7), (0x1F600, 0x1F600, 0), (0x1F601, 0x1F602, 9))
    found = coverage(font_of((3, 1, short), (3, 10, long)))
    assert found == Coverage((0x4E00, 0x1F601), (0x4E03, 0x1F603))


def test_what_is_no_font_covers_nothing(tmp_path: Path) -> None:
    assert coverage(b"") == coverage(b"ttcf") == Coverage()
    assert coverage(tmp_path / "none.ttf") == Coverage()
    assert coverage(b"ttcf\x00\x01\x00\x00\x00\x00\x00\x01", 5) == Coverage()


@given(st.binary(min_size=1, max_size=8), st.integers(0, len(FONT)))
def test_a_broken_font_never_breaks_the_reading(junk: bytes, place: int) -> None:
    coverage(FONT[:place] + junk + FONT[place + len(junk) :])
    coverage(FONT[:place])


def test_known_fonts_come_in_their_order_and_others_after_them(tmp_path: Path) -> None:
    names = (
        "Zapf.ttf",
        "wqy-microhei.ttc",
        "DejaVuSans-Bold.ttf",
        "DejaVuSans.ttf",
        "NotoColorEmoji.ttf",
        "Some-Italic.otf",
    )
    found = Fonts.among(tmp_path / name for name in names)
    assert [face.source for face in found.text] == [
        tmp_path / name for name in ("DejaVuSans.ttf", "wqy-microhei.ttc", "Zapf.ttf")
    ]
    assert found.bold[0] == Face(tmp_path / "DejaVuSans-Bold.ttf")
    assert [face.source for face in found.emoji] == [tmp_path / "NotoColorEmoji.ttf"]
    assert found == Fonts.among(tmp_path / name for name in reversed(names))


def test_fonts_are_looked_for_once() -> None:
    assert find_fonts() is find_fonts()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ab", ["a", "b"]),
        ("e\u0301a", ["e\u0301", "a"]),
        ("👩\u200d👩\u200d👧!", ["👩\u200d👩\u200d👧", "!"]),
        ("🇯🇵🇩🇪🇫", ["🇯🇵", "🇩🇪", "🇫"]),
        ("👍🏽☺\ufe0f", ["👍🏽", "☺\ufe0f"]),
    ],
)
def test_what_belongs_to_a_letter_stays_with_it(text: str, parts: list[str]) -> None:
    assert list(clusters(text)) == parts


@given(st.text(max_size=200))
@example("a" + 100 * "\u0301")
def test_clusters_are_the_text(text: str) -> None:
    assert "".join(clusters(text)) == text
    assert all(len(part) <= 24 for part in clusters(text))


@given(
    st.text(st.sampled_from("ab  \n\tMW…中、。e\u0301\u200d😀"), max_size=300), st.integers(40, 200), st.integers(1, 6)
)
def test_wrapped_lines_fit_and_lose_nothing_but_the_end(text: str, width: int, lines: int) -> None:
    hand = Lettering(NO_FONTS, 14)
    wrapped = hand.wrap(text, width, lines)
    assert 1 <= len(wrapped) <= lines
    assert all(hand.width(line) <= width for line in wrapped)
    shown, whole = ("".join("".join(part).split()) for part in (wrapped, text))
    assert shown == whole or whole.startswith(shown.removesuffix("…"))


def test_a_line_ends_between_words_and_before_no_closing_mark() -> None:
    hand = Lettering(NO_FONTS, 14)
    width = round(hand.width("hello wor")) + 1
    assert hand.wrap("hello world", width, 5) == ["hello", "world"]
    two = round(hand.width("中文")) + 1
    assert hand.wrap("中文中。文", two, 5) == ["中文", "中。", "文"]
    assert hand.wrap("first\n\n\n\nlast", 500, 5) == ["first", "", "last"]


def test_a_letter_that_no_font_has_is_remembered() -> None:
    hand = Lettering(NO_FONTS, 14)
    assert hand.width("a中😀") > hand.width("a")
    assert hand.missing == {"中", "😀"}


def test_what_says_the_same_stands_in_for_marks_that_no_font_has() -> None:
    hand = Lettering(NO_FONTS, 14)
    assert hand.width("a – b → “x”") < hand.width("a  b  x") + 3 * 14
    assert hand.missing == set()


def test_text_from_right_to_left_is_in_its_order_or_said_not_to_be() -> None:
    """In boxes, as no font is given: one for each letter."""
    hand = Lettering(NO_FONTS, 20)
    box = round(hand.width("א"))
    drawn, wanted = Image.new("RGB", (200, 40), "white"), Image.new("RGB", (200, 40), "white")
    hand.draw(drawn, (10, 30), "אב", (0, 0, 0), right=190)
    letters, start = ("בא", 190 - 2 * box) if hand.shapes else ("אב", 10)
    for number, letter in enumerate(letters):
        hand.draw(wanted, (start + number * box, 30), letter, (0, 0, 0))
    assert drawn.tobytes() == wanted.tobytes()
    assert hand.unshaped is not hand.shapes
