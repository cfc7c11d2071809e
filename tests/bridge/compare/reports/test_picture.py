from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image, ImageChops

from llm_bridge.compare.reports import Look, picture, pictures
from llm_bridge.compare.reports.fonts import Fonts, find_fonts
from llm_bridge.compare.results import Results
from llm_bridge.errors import BadInput
from tests.bridge.compare.reports.samples import answered, hostile, partial

NO_FONTS = Fonts()


def opened(page: bytes) -> Image.Image:
    image = Image.open(BytesIO(page))
    image.load()
    return image


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and ImageChops.difference(one, other).getbbox() is None


def shown(text: str, fonts: Fonts | None = None) -> Image.Image:
    return opened(picture(answered((text,), ("alpha",)), fonts=fonts))


@pytest.mark.parametrize(
    "results", [partial(), hostile(), answered(("x" * 1_000_000,)), answered(("\u0301" * 90_000,))]
)
@pytest.mark.parametrize("fonts", [NO_FONTS, find_fonts()], ids=["no fonts", "fonts of this machine"])
def test_pages_are_png_of_one_size_within_their_bounds(results: Results, fonts: Fonts) -> None:
    look = Look(width=900, height=1000)
    sizes = {opened(page).size for page in pictures(results, look, fonts).pages}
    assert len(sizes) == 1
    ((width, height),) = sizes
    assert width == 900
    assert height <= 1000


def test_the_same_results_and_fonts_give_the_same_bytes() -> None:
    assert pictures(hostile()).pages == pictures(hostile()).pages


def test_no_table_is_higher_than_a_page_in_any_look() -> None:
    results = answered(("word " * 3000,) * 2, tuple(f"{'long name ' * 30}{number}" for number in range(2)))
    for look in (Look(640, 640, 20, 200), Look(1600, 640, 8, 200), Look(8192, 700, 16, 50), Look(700, 8192, 23)):
        for page in pictures(results, look, NO_FONTS).pages:
            image = opened(page)
            assert image.width == look.width
            assert image.height <= look.height
            foot = image.crop((0, image.height - look.size // 2, image.width, image.height))
            assert len(foot.getcolors() or ()) == 1, "nothing runs over the foot"


def test_many_models_go_on_more_pages_and_too_many_rows_are_told() -> None:
    wide = pictures(answered(("x",), tuple(f"model {number}" for number in range(12))), Look(width=1000))
    assert len(wide.pages) == 6
    assert wide.notes == ()
    long = pictures(answered(("word " * 100,) * 60, ("alpha",)), Look(height=800, pages=3))
    assert len(long.pages) == 3
    assert long.notes == ("More rows than these pages hold; the other reports have them all.",)


def test_without_a_font_for_a_letter_its_box_and_the_note_tell() -> None:
    drawn = pictures(answered(("中国",), ("alpha",)), fonts=NO_FONTS)
    assert drawn.notes[0].startswith("No font here has U+4E2D, U+56FD, shown as boxes")
    assert not same(shown("中", NO_FONTS), shown("国", NO_FONTS)), "each box has its own code point"
    assert pictures(answered(("plain",), ("alpha",)), fonts=NO_FONTS).notes == ()


def test_chinese_japanese_and_korean_letters_are_drawn() -> None:
    letters = "中国日本語ひらがなカタナ한국어"
    fonts = find_fonts()
    if not all(any(letter in face.coverage for face in fonts.text) for letter in letters):
        pytest.skip("needs a font with Chinese, Japanese and Korean letters: install fonts-wqy-microhei")
    assert pictures(answered((letters,), ("alpha",))).notes == ()
    drawn = [shown(letter) for letter in letters]
    assert not any(same(one, other) for number, one in enumerate(drawn) for other in drawn[:number])
    assert not any(same(one, shown(letter, NO_FONTS)) for one, letter in zip(drawn, letters, strict=True))


def test_emoji_are_drawn_in_colour() -> None:
    fonts = find_fonts()
    if not any("😀" in face.coverage for face in fonts.emoji):
        pytest.skip("needs a font with emoji in colour: install fonts-noto-color-emoji")
    assert pictures(answered(("😀 👩‍👩‍👧 🇯🇵 👍🏽",), ("alpha",))).notes == ()
    colours = shown("😀").getcolors(1 << 20) or []
    saturated = [colour for _, colour in colours if isinstance(colour, tuple) and max(colour) - min(colour) > 100]
    assert saturated


def test_dark_pages_are_dark() -> None:
    light, dark = (opened(picture(partial(), Look(dark=dark))).getpixel((2, 2)) for dark in (False, True))
    assert isinstance(light, tuple)
    assert isinstance(dark, tuple)
    assert sum(light) > 600 > 150 > sum(dark)


def test_a_failed_and_a_missing_cell_stand_on_other_grounds() -> None:
    colours = {colour for _, colour in opened(picture(partial())).getcolors(1 << 20) or []}
    assert {(253, 238, 236), (247, 247, 245)} <= colours


@pytest.mark.parametrize("bad", [{"width": 100}, {"height": 9000}, {"size": 2}, {"lines": 0}, {"pages": 0}])
def test_a_look_that_cannot_be_read_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="out of range"):
        Look(**bad)  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="too large"):
        Look(width=640, size=40)
