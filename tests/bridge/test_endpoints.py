"""Where a server is: addresses that are none are refused, and the key stays in the environment."""

from __future__ import annotations

import pytest

from llm_bridge.client import Client, Retry
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, BridgeError


@pytest.mark.parametrize(
    ("url", "root", "version"),
    [
        ("http://127.0.0.1:1234", "http://127.0.0.1:1234", "/v1"),
        ("http://127.0.0.1:1234/", "http://127.0.0.1:1234", "/v1"),
        ("http://127.0.0.1:1234/v1", "http://127.0.0.1:1234", "/v1"),
        ("http://127.0.0.1:1234/v1/", "http://127.0.0.1:1234", "/v1"),
        ("https://host/api/v3", "https://host/api", "/v3"),
        ("https://host/llm", "https://host/llm", "/v1"),
        ("https://host/v1beta/openai/", "https://host/v1beta/openai", ""),
        ("https://host/v1/openai", "https://host/v1/openai", ""),
        ("https://host/v1beta", "https://host/v1beta", ""),
        ("http://[::1]:8080/v1", "http://[::1]:8080", "/v1"),
    ],
)
def test_an_address_may_end_in_its_version(url: str, root: str, version: str) -> None:
    endpoint = Endpoint("box", url)
    assert (endpoint.root, endpoint.version) == (root, version)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:1234",
        "ftp://host",
        "http://",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "http://ann:secret@host",
        "http://secret@host",
        "http://host/v1?key=secret",
        "http://host/#secret",
        "http://ho st",
        "http://host\n",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(BadInput) as failure:
        Endpoint("box", url)
    assert failure.value.hint
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    "url",
    ["http://xn--/", f"http://éé{'a' * 80}.de", "http://256.1.1.1", "http://a..b", "http://[::1]x", "http://é..b"],
)
async def test_what_can_be_no_host_is_refused_when_it_is_opened_or_asked(url: str) -> None:
    with pytest.raises(BridgeError):
        async with Client.open(Endpoint("box", url), retry=Retry(attempts=1)) as client:
            await client.models()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.8.8.8", True),
        ("http://localhost", True),
        ("http://LOCALHOST:80", True),
        ("http://llm.localhost", True),
        ("http://[::1]:8080", True),
        ("http://0.0.0.0:1234", True),
        ("http://192.168.1.5", False),
        ("http://localhost.example.org", False),
        ("https://example.org", False),
    ],
)
def test_it_is_known_whether_a_server_is_on_this_machine(url: str, local: bool) -> None:
    assert Endpoint("box", url).is_loopback is local


def test_a_key_is_read_from_the_environment_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint("box", "http://host", key_env="BOX_KEY")
    monkeypatch.setenv("BOX_KEY", "secret")
    assert endpoint.key == "secret"
    assert "secret" not in repr(endpoint)
    assert Endpoint("box", "http://host").key is None


@pytest.mark.parametrize("key", [None, "", "two\nlines", "schlüssel", "tab\t"])
async def test_a_key_that_cannot_be_used_is_said_without_being_shown(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOX_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("BOX_KEY", key)
    with pytest.raises(BadInput) as failure:
        async with Client.open(Endpoint("box", "http://127.0.0.1:1", key_env="BOX_KEY")):
            pass
    assert not key or key not in str(failure.value)
