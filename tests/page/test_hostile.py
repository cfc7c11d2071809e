"""Whatever is sent to the page: nothing of it is a failure of ours, takes long, comes back as markup or is made."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from comfy_mcp.proxy.page.rendering import SECTIONS
from tests.proxy.guard.inventory import INVENTORY
from tests.workbenches import served

OURS = {"enter", "look", "sign-in", "sign-out", "static", *(section.path for section in SECTIONS)}
ROUTES = [
    (method, path) for method, path in INVENTORY if path.split("/")[1] in OURS and "events" not in path and path != "/"
]
MARK = "<b>marked</b><script>marked</script>"
NAMES = ["x", "../../etc/passwd", "%00", "a" * 300, "-1", "🦆", "'; DROP TABLE job; --", MARK]
FIELDS = re.findall(
    r"\w+",
    "prompt seed steps width height style name template model models prompts text token owner rights rate to theme file"
    " values parameter over url address q before after sort kind limit page job asset image id title ids best ballot"
    " voter days retention priority where mode data graph workflow draft label help min max default prefix suffix",
)
VALUES = ["", "NaN", "1e999", "9" * 400, "-1", "[" * 5000, MARK, "\x00", "a" * 20_000, "../../x", "http://127.0.0.1:9"]
SLOW = 5.0
LAST = ("POST", "/settings/tokens")
"""Some of it makes a token, and then everybody needs one."""


def filled(path: str, value: str) -> str:
    return re.sub(r"\{\w+(:\w+)?\}", lambda _: quote(value, safe=""), path)


def vectors(method: str, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Addresses, and what is sent there."""
    names = NAMES if "{" in path else NAMES[:1]
    for name in names:
        yield filled(path, name), {"params": {"q": MARK}}
    for value in VALUES:
        told = dict.fromkeys(FIELDS, value)
        if method == "GET":
            # A part of them: the head of a request has its own limit.
            few = dict.fromkeys(itertools.islice(told, 60), value[:50])
            yield filled(path, "x"), {"params": few}
        else:
            yield filled(path, "x"), {"data": told}
            yield filled(path, "txt2img"), {"files": {"file": ("x.png", value.encode()), "picture": ("y", b"\x89PNG")}}
    if method != "GET":
        yield filled(path, "x"), {"content": b"{}", "headers": {"Content-Type": "application/json"}}
        yield filled(path, "x"), {"content": b"a=1&" * 2000, "headers": {"Content-Type": FORM}}
        yield filled(path, "x"), {"content": b"\xff\xfe%zz=%", "headers": {"Content-Type": FORM}}
        yield filled(path, "x"), {"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}


FORM = "application/x-www-form-urlencoded"


@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
async def test_no_request_to_the_page_does_harm(
    tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an administrator changes goes to this file, not to that of whoever runs the tests.
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(tmp_path / "settings.toml"))
    harm: list[str] = []
    async with served(tmp_path / "data", embedded_url, rate=0) as http:
        http.headers["Origin"] = str(http.base_url).rstrip("/")
        for method, path in sorted(ROUTES, key=lambda route: route == LAST):
            if (method, path) == LAST:
                assert (await http.get("/api/v1/jobs")).json()["jobs"] == []
            for address, sent in vectors(method, path):
                told = f"{method} {address[:80]} {str(sent)[:120]}"
                try:
                    with anyio.fail_after(SLOW):
                        answer = await http.request(method, address, **sent)
                except TimeoutError:
                    harm.append(f"{told}: takes long")
                    continue
                if answer.status_code >= 500:
                    harm.append(f"{told}: {answer.status_code} {answer.text[-200:]!r}")
                kind = answer.headers.get("content-type", "")
                if kind.startswith("text/html") and ("<b>marked" in answer.text or "<script>marked" in answer.text):
                    harm.append(f"{told}: comes back as markup")
        assert not harm, "\n".join(harm[:40])
        assert (await http.get("/healthz")).json()["status"] == "ok"
