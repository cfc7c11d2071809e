"""Which LLM servers a person has set up: the file, the environment, and what is told about mistakes in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from comfy_nodes.nodes.generate import LLMProvider
from comfy_nodes.presets import preset_names
from comfy_nodes.setup import provider_names, set_up_servers
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput
from llm_bridge.providers.registry import DIALECTS

EVERY_KEY = """
[[llm_servers]]
name = "big"
url = "http://10.0.0.5:8080/v1"
kind = "llama-cpp"
key_env = "BIG_KEY"
concurrency = 4
max_loaded = 0
card = "box"
cost = 0.5
tags = ["fast"]

[[llm_servers]]
name = "small"
url = "http://127.0.0.1:11434"
"""
SERVER = '[[llm_servers]]\nname = "a"\nurl = "http://127.0.0.1:1"\n'
MISTAKES = {
    "llm_servers = 3": "llm_servers are tables",
    'llm_url = ["http://127.0.0.1:1"]': "llm_url is a text",
    'llm_servers = ["http://127.0.0.1:1"]': "needs a name and a url",
    '[[llm_servers]]\nname = "a"': "needs a name and a url",
    SERVER + 'key = "sk-secret"': "no key 'key'",
    SERVER + 'concurrency = "4"': "concurrency of a is of the wrong type",
    SERVER + "concurrency = true": "concurrency of a is of the wrong type",
    SERVER + "concurrency = 0": "at least 1",
    SERVER + "max_loaded = -1": "at least 0",
    SERVER + 'kind = "gpt"': "no kind of server called 'gpt'",
    SERVER + SERVER: "two servers are called 'a'",
    SERVER.replace('"a"', '"a/b"'): "the name 'a/b'",
    SERVER.replace("http:", "ftp:"): "no address",
    SERVER.replace("127", "user:pass@127"): "holds a password",
    SERVER + "kind =": "cannot be used",
}


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The settings file of the nodes' own, which is not there yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".cache" / "comfyui-workbench"
    folder.mkdir(parents=True)
    return folder / "llm_servers.toml"


def test_every_key_of_a_server_counts(file: Path) -> None:
    file.write_text(EVERY_KEY)
    assert set_up_servers() == [
        Endpoint("big", "http://10.0.0.5:8080/v1", "llama-cpp", "BIG_KEY", 4, None, "box", 0.5),
        Endpoint("small", "http://127.0.0.1:11434"),
    ]
    assert provider_names() == ["big", "small"]


@pytest.mark.parametrize("text", MISTAKES, ids=MISTAKES.values())
def test_a_mistake_is_told_with_its_place_and_without_what_is_secret(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(BadInput, match=re.escape(MISTAKES[text])) as failure:
        set_up_servers()
    assert failure.value.hint
    for secret in ("sk-secret", "user:pass", str(file.parent)):
        assert secret not in str(failure.value)


def test_a_file_that_cannot_be_used_leaves_the_node_in_the_list(file: Path) -> None:
    file.write_text("llm_servers = 3")
    choices = LLMProvider.INPUT_TYPES()["required"]["server"][0]
    assert choices == ["any", *(dialect.kind for dialect in DIALECTS if dialect.ports)]
    assert LLMProvider.VALIDATE_INPUTS(server="a server of another machine") is True


def test_a_file_that_is_no_text_is_told_about(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match=r"llm_servers\.toml cannot be used"):
        set_up_servers()


def test_where_the_user_folder_is_none_there_is_no_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.touch()
    monkeypatch.setenv("HOME", str(file))
    monkeypatch.delenv("WORKBENCH_SETTINGS", raising=False)
    assert set_up_servers() == []


def test_a_user_folder_that_cannot_be_entered_is_told_about_and_leaves_the_node_in_the_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / ("long" * 100)))
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(tmp_path / "settings.toml"))
    with pytest.raises(BadInput, match=r"llm_servers\.toml cannot be used: File name too long"):
        set_up_servers()
    assert "ollama" in provider_names() and "Short" in preset_names("expanders")


def test_addresses_in_the_environment_are_numbered_before_the_named_ones(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(SERVER)
    monkeypatch.setenv("WORKBENCH_LLM_URL", "http://127.0.0.1:1/v1, http://127.0.0.1:2/v4,http://127.0.0.1:3,")
    assert [(each.name, each.url) for each in set_up_servers()] == [
        ("llm", "http://127.0.0.1:2/v4"),
        ("llm-2", "http://127.0.0.1:3"),
        ("a", "http://127.0.0.1:1"),
    ]


def test_an_address_that_stands_twice_is_one_server(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_LLM_URL", "http://127.0.0.1:2,http://127.0.0.1:2/v1")
    assert len(set_up_servers()) == 1


def test_a_server_called_as_one_of_the_environment_is_told_about(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(SERVER.replace('"a"', '"llm"'))
    monkeypatch.setenv("WORKBENCH_LLM_URL", "http://127.0.0.1:2")
    with pytest.raises(BadInput, match="two servers are called 'llm'"):
        set_up_servers()


def test_the_workbenchs_own_settings_serve_too_until_the_nodes_have_a_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('log_level = "info"\nllm_url = "http://127.0.0.1:5"\n')
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(settings))
    assert set_up_servers() == [Endpoint("llm", "http://127.0.0.1:5")]
    file.write_text(SERVER)
    assert provider_names() == ["a"]


def test_without_anything_set_up_every_kind_with_a_port_can_be_chosen(file: Path) -> None:
    assert set_up_servers() == []
    assert {"ollama", "lm-studio", "llama-cpp"} <= set(provider_names())
