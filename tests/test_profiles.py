"""What a client is taken for, by the name it gives itself."""

from __future__ import annotations

import pytest

from comfy_mcp.profiles import PROFILES, profile_named, profile_of


@pytest.mark.requirement("R12")
@pytest.mark.parametrize(
    ("client", "profile"),
    [
        ("@librechat/api-client", "librechat"),
        ("lobehub-mcp-client", "lobehub"),
        ("lobechat-mcp-client", "lobehub"),
        ("open-webui", "open-webui"),
        ("claude-ai", "claude-desktop"),
        ("Anthropic/ClaudeAI", "claude.ai"),
        ("claude-code", "claude-code"),
        ("lmstudio-mcp-bridge", "lm-studio"),
        ("Jan Streamable Client", "jan"),
        ("rmcp", "jan"),
        ("cursor-vscode", "cursor"),
        ("Visual Studio Code", "vs-code"),
        ("mcp", "unknown"),
        ("January", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_client_is_known_by_its_name(client: str, profile: str) -> None:
    assert profile_of(client).name == profile


def test_a_profile_can_be_named() -> None:
    assert {profile_named(profile.name) for profile in PROFILES} == {*PROFILES}
    assert profile_named("unknown") == profile_of("something else")
    assert profile_named("librechatt") is None


@pytest.mark.requirement("R12")
def test_no_profile_passes_a_limit_of_any_client() -> None:
    for profile in (*PROFILES, profile_of("")):
        # Base64 and the text beside it stay under the 1 048 576 letters of Claude Desktop and of the Python client.
        assert profile.picture_bytes <= profile.answer_bytes <= 700_000
        assert profile.picture_bytes <= 150_000
        assert profile.side <= 2_000


@pytest.mark.requirement("R8")
def test_every_profile_answers_before_its_client_hangs_up() -> None:
    limits = {"jan": 30.0, "open-webui": 300.0}
    for profile in (*PROFILES, profile_of("")):
        assert profile.wait <= limits.get(profile.name, 60.0) - 5.0
