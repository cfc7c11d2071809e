"""Names that people can read and every system can store."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.assets.naming import FIELDS, NamePattern, key_for
from comfy_mcp.assets.sink import check_key
from comfy_mcp.errors import SettingsError


def stem(template: str, pattern: str = "{template}") -> str:
    return NamePattern(pattern).stem({"template": template, "seed": 1234})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{template}-{seed}", "cat-1234"),
        ("{seed}", "1234"),
        ("my {template}", "my_cat"),
        ("{date}/{template}", "cat"),
        ("{template}-{job}-{index}", "cat"),
        ("{template}_{width}x{height}", "cat_x"),
        ("{{{template}}}", "{cat}"),
        ("", "file"),
        ("{job}", "file"),
        ("...", "file"),
    ],
)
def test_a_pattern_is_filled_in_and_leaves_no_gaps(pattern: str, expected: str) -> None:
    assert NamePattern(pattern).stem({"template": "cat", "seed": 1234}) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "{prompt}",
        "{}",
        "{0}",
        "{template.__class__}",
        "{template[0]}",
        "{seed!r}",
        "{seed:>99999999}",
        "{seed",
        "seed}",
    ],
)
def test_other_patterns_are_refused_with_what_is_known(pattern: str) -> None:
    with pytest.raises(SettingsError) as refused:
        NamePattern(pattern)
    assert all(f"{{{field}}}" in refused.value.hint for field in FIELDS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "etc_passwd"),
        ("..\\..\\windows\\win.ini", "windows_win.ini"),
        ("/etc/passwd", "etc_passwd"),
        ("C:\\x", "C_x"),
        ("\\\\host\\share", "host_share"),
        ("a\0b", "ab"),
        ("a\r\nX: y", "a_X_y"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("\ud800x", "x"),
        ("x:stream", "x_stream"),
        ("name. . .", "name"),
        (".hidden", "hidden"),
        ("~root", "root"),
        ("-rf", "rf"),
        ('a".html', "a_html"),
        ("CON", "_CON"),
        ("nul.png", "_nul.png"),
        ("com1", "_com1"),
        ("LPT³.x", "_LPT³.x"),
        ("console", "console"),
        ("Café 猫", "Café_猫"),
        (unicodedata.normalize("NFD", "Café"), "Café"),
        ("x" * 500, "x" * 120),
        ("é" * 500, "é" * 100),
        ("  ", "file"),
    ],
)
def test_names_are_safe(name: str, expected: str) -> None:
    assert stem(name) == expected


@given(st.text(max_size=300), st.sampled_from((".png", ".opus", ".bin")))
def test_any_name_makes_a_key(name: str, suffix: str) -> None:
    key = key_for(stem(name), "0" * 64, suffix, date(2026, 11, 20))
    month, file = check_key(key)
    assert month == "2026-11"
    assert file.endswith(f"-000000000000{suffix}")
    assert stem(stem(name)) == stem(name)
