"""Settings: every key is documented, the environment wins, and a bad value is named without being shown."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_args

import pytest
from annotated_types import Ge, Gt, Le
from pydantic import BaseModel

from comfy_mcp.errors import SettingsError
from comfy_mcp.settings import (
    BackendSettings,
    FrontEndSettings,
    LLMServerSettings,
    Settings,
    is_loopback,
    load_settings,
    reloaded,
)
from comfy_mcp.workbench.service import backends_of

EXAMPLE = Path(__file__).parent.parent / "settings.example.toml"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(path))
    return path


def test_the_example_documents_every_key_with_its_default(file: Path) -> None:
    text = EXAMPLE.read_text()
    uncommented = "\n".join(line.removeprefix("#") for line in text.splitlines() if not line.startswith("# "))
    documented = tomllib.loads(uncommented)
    assert list(documented) == list(Settings.model_fields)
    file.write_text(uncommented)
    settings = load_settings()
    for name, field in Settings.model_fields.items():
        if field.default is not None and not field.is_required() and field.default_factory is None:
            assert getattr(settings, name) == field.default, name
        assert field.description


def test_the_example_as_it_is_changes_nothing(file: Path) -> None:
    file.write_text(EXAMPLE.read_text())
    with_file = load_settings()
    file.unlink()
    assert load_settings() == with_file


def test_options_win_over_the_environment_and_that_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("port = 1\nwait = 1\ninline_bytes = 20000\n")
    monkeypatch.setenv("WORKBENCH_WAIT", "2")
    monkeypatch.setenv("WORKBENCH_PORT", "2")

    settings = load_settings(port=3, host=None)

    assert (settings.port, settings.wait, settings.inline_bytes) == (3, 2.0, 20000)


def test_an_empty_variable_is_unset(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_COMFYUI_URL", "")
    assert load_settings().comfyui_urls == ("http://127.0.0.1:8188",)


def test_several_addresses_are_separated_by_commas(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_COMFYUI_URL", "http://a:1/, http://b:2")
    assert load_settings().comfyui_urls == ("http://a:1", "http://b:2")


def test_lists_are_written_with_commas_and_folders_with_a_tilde(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_ALLOWED_HOSTS", "host.docker.internal:8190, studio:*")
    monkeypatch.setenv("WORKBENCH_TEMPLATES", "~/mine")
    settings = load_settings(data=Path("~/bench"))
    assert settings.allowed_hosts == ["host.docker.internal:8190", "studio:*"]
    assert settings.template_folders == (Path.home() / "bench" / "templates", Path.home() / "mine")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COMFYUI_URL", "not an address"),
        ("COMFYUI_URL", " , "),
        ("PORT", "99999"),
        ("WAIT", "-1"),
        ("TOKEN", "short-secret"),
        ("INLINE_IMAGES", "sometimes"),
        ("PUBLIC_URL", "ftp"),
    ],
)
def test_a_bad_value_is_named_but_not_shown(file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"WORKBENCH_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name.lower() in str(caught.value)
    assert "short-secret" not in str(caught.value)


@pytest.mark.parametrize("kind", [Settings, BackendSettings, FrontEndSettings, LLMServerSettings])
def test_every_number_has_a_least_and_a_most(kind: type[BaseModel]) -> None:
    for name, field in kind.model_fields.items():
        if {field.annotation, *get_args(field.annotation)} & {int, float}:
            bounds = [each for each in field.metadata if isinstance(each, Ge | Gt | Le)]
            assert len(bounds) == 2 and isinstance(bounds[-1], Le), name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_queue", "99999999999999999999999999"),
        ("max_queue_per_owner", "1000001"),
        ("job_timeout", "1e308"),
        ("link_expiry", "inf"),
        ("max_body", "2199023255552"),
    ],
)
def test_a_number_that_nothing_could_count_to_is_refused(file: Path, key: str, value: str) -> None:
    file.write_text(f"{key} = {value}\n")
    with pytest.raises(SettingsError, match=key):
        load_settings()


@pytest.mark.parametrize("url", ["http://me:letmein@h:9", "http://h/?a=b#c", "http://h:0", "http://\u2764.example"])
@pytest.mark.parametrize("key", ["backends", "llm_servers", "comfyui_url", "llm_url"])
def test_an_address_that_cannot_be_used_is_named_but_not_shown(file: Path, key: str, url: str) -> None:
    table = f'[[{key}]]\nname = "x"\nurl = "{url}"\n'
    file.write_text(f'{key} = "{url}"\n' if key.endswith("url") else table)
    with pytest.raises(SettingsError, match=f"^The setting '{key}") as caught:
        load_settings()
    assert "letmein" not in str(caught.value) and "validation" not in str(caught.value)
    assert f"WORKBENCH_{key.upper()} " in str(caught.value.hint)


def test_an_unknown_key_in_the_file_is_named(file: Path) -> None:
    file.write_text("comfy_url = 'http://a'\n")
    with pytest.raises(SettingsError, match="comfy_url"):
        load_settings()


def test_a_file_that_is_no_toml_is_refused(file: Path) -> None:
    file.write_text("port =")
    with pytest.raises(SettingsError):
        load_settings()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.1.2", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_each_backend_gets_its_own_secret_and_no_other(file: Path) -> None:
    file.write_text(
        'comfyui_url = "http://a:1"\ncomfyui_authorization = "Bearer for-a"\n'
        '[[backends]]\nname = "b"\nurl = "http://b:2"\nauthorization = "Bearer for-b"\ncard = "gpu0"\n'
        '[[backends]]\nname = "c"\nurl = "http://c:3"\ntags = ["fast"]\nconcurrency = 2\n'
    )
    configs = backends_of(load_settings())
    told = [(config.name, config.url, config.authorization) for config in configs]
    assert told == [
        ("comfyui", "http://a:1", "Bearer for-a"),
        ("b", "http://b:2", "Bearer for-b"),
        ("c", "http://c:3", None),
    ]
    assert [config.place for config in configs] == ["the card of comfyui", "gpu0", "the card of c"]
    assert (configs[2].tags, configs[2].concurrency) == ({"fast"}, 2)
    assert "Bearer" not in repr(configs) + repr(load_settings())


def test_backends_alone_replace_the_default_address_and_an_address_may_get_a_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('[[backends]]\nname = "studio"\nurl = "http://b:2"\n')
    assert [backend.name for backend in load_settings().all_backends] == ["studio"]
    monkeypatch.setenv("WORKBENCH_COMFYUI_URL", "http://b:2,http://c:3")
    assert [backend.name for backend in load_settings().all_backends] == ["comfyui", "studio"]


@pytest.mark.parametrize(
    "text",
    [
        '[[backends]]\nname = "a"\nurl = "http://a:1"\n[[backends]]\nname = "a"\nurl = "http://b:1"\n',
        '[[backends]]\nname = "Not A Name"\nurl = "http://a:1"\n',
        '[[backends]]\nname = "a"\nurl = "no address"\n',
        '[[backends]]\nname = "a"\nurl = "http://a:1"\nconcurrency = 0\n',
        '[[backends]]\nname = "a"\nurl = "http://a:1"\nunknown = 1\n',
    ],
)
def test_backends_that_cannot_be_used_are_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match="backends"):
        load_settings()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that even root cannot read")
def test_a_file_that_may_not_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_SETTINGS", "/proc/self/mem")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()


@pytest.mark.parametrize("secret", ["Bearer tök", "Bearer a\nHost: b"])
def test_a_secret_that_no_header_can_have_is_refused_without_being_shown(
    file: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("WORKBENCH_COMFYUI_AUTHORIZATION", secret)
    with pytest.raises(SettingsError, match="comfyui_authorization") as caught:
        load_settings()
    assert "Bearer" not in str(caught.value)


def test_an_address_that_is_taken_out_of_the_file_is_gone(file: Path) -> None:
    rest = '[[backends]]\nname = "b"\nurl = "http://b:2"\n'
    file.write_text('comfyui_url = "http://a:1"\n' + rest)
    before = load_settings()
    file.write_text(rest)
    now, _ = reloaded(before, before)
    assert [backend.name for backend in now.all_backends] == ["b"]


def test_an_option_stays_when_the_file_changes(file: Path) -> None:
    file.write_text('comfyui_url = "http://a:1"\nmax_queue = 5\n')
    before = load_settings()
    current = load_settings(comfyui_url="http://option:1", port=9)
    file.write_text('comfyui_url = "http://a:1"\nmax_queue = 6\ncomfyui_authorization = "Bearer new"\n')
    now, _ = reloaded(current, before)
    assert (now.comfyui_urls, now.port, now.max_queue) == (("http://option:1",), 9, 6)
    assert now.comfyui_authorization is not None and now.comfyui_authorization.get_secret_value() == "Bearer new"


def test_a_backend_may_not_have_the_name_of_a_plain_address(file: Path) -> None:
    named = '[[backends]]\nname = "comfyui"\nurl = "http://b:2"\n'
    file.write_text(named)
    before = load_settings()
    with pytest.raises(SettingsError, match="name"):
        load_settings(comfyui_url="http://a:1")
    file.write_text('comfyui_url = "http://a:1"\n' + named)
    with pytest.raises(SettingsError, match="name"):
        reloaded(before, before)
    file.write_text(named.replace('"comfyui"', '"studio"'))
    with_option = load_settings(comfyui_url="http://a:1")
    before = load_settings()
    file.write_text(named)
    with pytest.raises(SettingsError, match="name"):
        reloaded(with_option, before)


def test_one_card_for_comfyui_and_language_models_is_said_once(file: Path) -> None:
    settings = load_settings(comfyui_url="http://a:1", llm_url="http://b:2", card="gpu0")
    assert {backend.place for backend in backends_of(settings)} == {"gpu0"}
    apart = load_settings(comfyui_url="http://a:1", llm_url="http://b:2")
    assert len({backend.place for backend in backends_of(apart)}) == 2
