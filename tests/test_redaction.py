"""What stands in a log: no key, no picture, and one line for one record, whatever was logged."""

from __future__ import annotations

import io
import logging
from collections.abc import Generator
from pathlib import Path

import pytest

from comfy_mcp.redaction import Redaction, redacting, secrets_of
from comfy_mcp.settings import Settings

SECRET = "canary-of-the-settings"
WRITTEN = [
    "Authorization: Bearer eyJhbGciOi.abc-def",
    "authorization=Basic dXNlcjpwYXNz",
    "{'Authorization': 'Bearer abc'}",
    "(b'authorization', b'Bearer a-b_c~d')",
    '{"authorization": "hunter2hunter2"}',
    "sent with bearer abcdefgh12345678",
    "wb_" + "a" * 43,
    "sk-CANARY-12345678",
    "GET /api/v1/assets/1?signature=ImFi.cd-ef&x=1",
    "https://user:pass@host/x",
    "https://host/?api_key=abcd&x",
    "password=hunter2",
    "data:image/png;base64," + "iVBORw0KGgo" * 100,
    f"the key is {SECRET}!",
]
HIDDEN = ("eyJ", "dXNlc", "abc", "a-b_c", "hunter2", "aaaa", "CANARY", "ImFi", "pass@", "iVBOR", "canary")


@pytest.fixture
def log() -> Generator[tuple[logging.Logger, io.StringIO]]:
    """A logger of its own with a handler that redacts."""
    logger, written = logging.Logger("test"), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.addFilter(Redaction(lambda: (SECRET, "short", "")))
    logger.addHandler(handler)
    yield logger, written
    handler.close()


@pytest.mark.parametrize("text", WRITTEN)
def test_secrets_are_hidden_in_words_in_arguments_and_in_failures(
    log: tuple[logging.Logger, io.StringIO], text: str
) -> None:
    logger, written = log

    logger.error(text)
    logger.error("it was %s and %d", text, 7)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("It failed.", stack_info=True)

    told = written.getvalue()
    assert [word for word in HIDDEN if word in told.split("Stack (most")[0]] == []
    assert "and 7" in told
    assert "ValueError" in told


@pytest.mark.parametrize(
    "text",
    [
        "A session broke.",
        "/home/anna/.local/share/comfyui-workbench/workbench.sqlite3",
        "sha256 " + "0123456789abcdef" * 4,
        "Authorization is missing.",
        "The setting 'comfyui_authorization' cannot be used",
        "http://127.0.0.1:8190/api/v1/assets/1",
        "a short word",
        "Größe 10 €",
    ],
)
def test_plain_words_stay(log: tuple[logging.Logger, io.StringIO], text: str) -> None:
    logger, written = log
    logger.error("%s", text)
    assert written.getvalue() == f"ERROR {text}\n"


def test_nothing_that_is_logged_begins_a_line_or_moves_the_cursor(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    forged = "x\r\nERROR forged\x1b[2J\x00\x85\u2028ERROR"

    logger.error("%s", forged)
    try:
        raise ValueError(forged)
    except ValueError:
        logger.exception("It failed.")

    told = written.getvalue()
    assert told.startswith("ERROR x\\r\\nERROR forged\\x1b[2J\\x00\\x85\\u2028ERROR\nERROR It failed.\n  Traceback")
    assert [line for line in told.splitlines()[2:] if not line.startswith("  ")] == []
    assert not {"\r", "\x1b", "\x00", "\x85", "\u2028"} & {*told}


def test_a_record_that_cannot_be_put_together_is_told_as_it_is(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.error("%d things", "wb_" + "a" * 43)
    assert written.getvalue() == "ERROR %d things\n"


def test_what_was_put_together_before_is_redacted_too(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    record = logging.LogRecord("x", logging.ERROR, "", 1, "words", None, None)
    record.exc_text = f"Traceback\n{SECRET}"
    logger.handle(record)
    assert written.getvalue() == "ERROR words\n  Traceback\n  the key is [hidden]\n".replace("the key is ", "")


def test_handlers_redact_for_the_length_of_a_block() -> None:
    handler, last = logging.NullHandler(), logging.lastResort
    assert last is not None
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with redacting(lambda: ()):
            assert [len(each.filters) for each in (handler, last)] == [1, 1]
        assert [len(each.filters) for each in (handler, last)] == [0, 0]
    finally:
        root.removeHandler(handler)


def test_every_secret_of_the_settings_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "key-of-the-server")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key-of-the-bucket")
    settings = Settings.model_validate(
        {
            "data": tmp_path,
            "token": "the-token-of-the-server",
            "comfyui_authorization": "Bearer key-of-the-first",
            "backends": [{"name": "two", "url": "http://b", "authorization": "Basic a2V5"}],
            "llm_servers": [
                {"name": "llm", "url": "http://l", "key_env": "MY_KEY"},
                {"name": "free", "url": "http://f"},
            ],
        }
    )
    keys = {"the-token-of-the-server", "key-of-the-first", "a2V5", "Basic a2V5", "key-of-the-server"}
    assert keys | {"key-of-the-bucket"} <= {*secrets_of(settings)}
