"""Names that must not lead a node elsewhere: vectors of path traversal, and the ordinary names beside them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.workflows.paths import is_plain_name, takes_file_name
from tests.workflows.samples import unhurried

ELSEWHERE = [
    "../../etc/passwd",
    "..",
    "a/../../x",
    "..\\..\\x",
    "a\\..\\b",
    "/etc/passwd",
    " /etc/passwd",
    "\\\\host\\share",
    "\\x",
    "C:\\x",
    "c:x",
    "~/x",
    "~root/x",
    "http://host/x.png",
    "file:///etc/passwd",
    "x.png [output]",
    "x.png [Input]",
    "a/../../x [output]",
    "x\x00.png",
    "x\n.png",
    "x\x9b.png",
    "\ud800",
    "%2e%2e/x",
    "%2E%2E%2Fx",
    "%252e%252e/x",
    "%2fetc/passwd",
    "．．/x",
    "．．／x",
    "／etc/passwd",
    "..;/x",
    "a/ ../b",
    "x" * 401,
]


@pytest.mark.parametrize("name", ELSEWHERE, ids=ascii)
def test_a_name_that_leads_elsewhere_is_seen(name: str) -> None:
    assert not is_plain_name(name)


@pytest.mark.parametrize(
    "name", ["", "x.png", "a/b/c.safetensors", "model..v2.safetensors", "100%.png", "猫.png", "a [1].png", ".hidden"]
)
def test_an_ordinary_name_passes(name: str) -> None:
    assert is_plain_name(name)


@unhurried
@given(st.text(max_size=12), st.sampled_from(["/", "\\"]), st.text(max_size=12))
def test_no_text_around_it_hides_a_step_upwards(before: str, separator: str, after: str) -> None:
    assert not is_plain_name(f"{before}{separator}..{separator}{after}")


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("filename_prefix", True),
        ("output_path", True),
        ("image", True),
        ("save_dir", True),
        ("text", False),
        ("text_file_prompt", False),
        ("prompt", False),
        ("prompt_prefix", False),
        ("profile", False),
        ("steps", False),
    ],
)
def test_inputs_that_take_files_are_known_by_their_names(name: str, takes: bool) -> None:
    assert takes_file_name(name) == takes
