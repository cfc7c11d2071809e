"""Adding, changing and removing servers: what becomes of plain addresses and of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import InvalidParameter, NotFound
from comfy_mcp.settings import Settings, load_settings
from comfy_mcp.settings.servers import free_name, with_server, without_server
from comfy_mcp.settings.writing import write_settings

TWO = 'comfyui_url = "http://a:1,http://b:1"\ncomfyui_authorization = "Bearer secret"\nllm_url = "http://c:1"\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(path))
    return path


def after(changes: dict[str, Any]) -> Settings:
    write_settings(changes)
    return load_settings()


def backends(settings: Settings) -> list[tuple[str, str, int]]:
    return [(each.name, str(each.url).rstrip("/"), each.concurrency) for each in settings.all_backends]


def test_one_is_added_beside_plain_addresses(file: Path) -> None:
    file.write_text(TWO)
    settings = after(with_server(load_settings(), {"name": "attic", "url": "http://d:1"}, llm=False))
    assert [name for name, _, _ in backends(settings)] == ["comfyui", "comfyui-2", "attic"]
    settings = after(with_server(settings, {"name": "two", "url": "http://e:1", "max_loaded": 0}, llm=True))
    assert [(each.name, each.max_loaded) for each in settings.all_llm_servers] == [("llm", 1), ("two", 0)]


def test_the_address_that_nobody_set_stays_when_it_is_used(file: Path) -> None:
    values = {"name": "attic", "url": "http://d:1"}
    assert backends(after(with_server(load_settings(), values, llm=False, default=True))) == [
        ("comfyui", "http://127.0.0.1:8188", 1),
        ("attic", "http://d:1", 1),
    ]
    file.unlink()
    assert backends(after(with_server(load_settings(), values, llm=False))) == [("attic", "http://d:1", 1)]


def test_a_plain_address_gets_a_table_when_it_is_to_say_more(file: Path) -> None:
    file.write_text(TWO)
    values = {"name": "comfyui-2", "url": "http://b:1", "concurrency": 2}
    settings = after(with_server(load_settings(), values, llm=False, instead="comfyui-2"))
    assert backends(settings) == [("comfyui", "http://a:1", 1), ("comfyui-2", "http://b:1", 2)]
    assert "comfyui_url" not in settings.model_fields_set
    first = settings.all_backends[0].authorization
    assert first is not None and first.get_secret_value() == "Bearer secret"
    moved = {"name": "llm", "url": "http://c:2", "card": "one"}
    (server,) = after(with_server(settings, moved, llm=True, instead="llm")).all_llm_servers
    assert (server.address, server.card) == ("http://c:2", "one")


def test_one_is_removed_wherever_it_is_set(file: Path) -> None:
    file.write_text(TWO + '[[backends]]\nname = "attic"\nurl = "http://d:1"\n')
    settings = after(without_server(load_settings(), "comfyui"))
    assert backends(settings) == [("comfyui", "http://b:1", 1), ("attic", "http://d:1", 1)]
    settings = after(without_server(settings, "attic"))
    settings = after(without_server(settings, "llm"))
    assert settings.all_llm_servers == () and backends(settings) == [("comfyui", "http://b:1", 1)]
    settings = after(without_server(settings, "comfyui"))
    assert backends(settings) == [("comfyui", "http://127.0.0.1:8188", 1)]
    with pytest.raises(InvalidParameter, match="when none is set"):
        without_server(settings, "comfyui")


@pytest.mark.parametrize(
    ("values", "llm", "parameter"),
    [
        ({"name": "comfyui", "url": "http://x:1"}, True, "name"),
        ({"name": "x", "url": "http://a:1/"}, False, "url"),
        ({"name": "X", "url": "http://x:1"}, False, "name"),
        ({"name": "x", "url": "http://x:1", "concurrency": 99}, False, "concurrency"),
        ({"name": "x", "url": "http://x:1", "secret": 1}, False, "secret"),
    ],
)
def test_what_cannot_be_is_named(file: Path, values: dict[str, Any], llm: bool, parameter: str) -> None:
    file.write_text(TWO)
    with pytest.raises(InvalidParameter) as refusal:
        with_server(load_settings(), values, llm=llm)
    assert refusal.value.parameter == parameter


def test_a_name_that_is_taken_gets_a_number(file: Path) -> None:
    file.write_text(TWO)
    settings = load_settings()
    assert (free_name(settings, "comfyui"), free_name(settings, "ollama")) == ("comfyui-3", "ollama")
    with pytest.raises(NotFound):
        without_server(settings, "attic")
