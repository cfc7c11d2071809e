"""`comfy-workbench token`: what it prints, and what a workbench that runs makes of it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import anyio
import httpx
import pytest

from comfy_mcp.errors import SettingsError
from comfy_mcp.proxy import listening
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.cli.test_commands import workbench
from tests.workbenches import served, settings_for


def test_a_token_is_printed_once_and_listed_without_itself(tmp_path: Path) -> None:
    made = workbench("token", "add", "tablet", "--right", "make", "--right", "graphs", "--rate", "0", data=tmp_path)
    more = workbench("token", "add", "chat", "--owner", "anna", "--waiting", "3", data=tmp_path)
    listed = workbench("token", "list", data=tmp_path)

    assert (made.returncode, more.returncode, listed.returncode) == (0, 0, 0), made.stderr
    token = made.stdout.strip()
    assert re.fullmatch(r"wb_[\w-]{43}", token)
    assert "tablet makes jobs of tablet" in made.stderr
    tablet = next(line for line in listed.stdout.splitlines() if "tablet" in line)
    chat = next(line for line in listed.stdout.splitlines() if "chat" in line)
    assert tablet.count("tablet") == 2 and all(word in tablet for word in ("graphs, make", "any", "as set"))
    assert all(word in chat for word in ("anna", "make", "as set", " 3 "))
    assert token not in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "a b"), "no name for a token"),
        (("add", "x", "--owner", "a\nb"), "no owner"),
        (("add", "x", "--right", "fly"), "'fly' is not one of"),
        (("add", "x", "--rate", "-1"), "--rate"),
        (("add", "x", "--waiting", "0"), "--waiting"),
        (("revoke", "nobody-knows"), "There is no token 'nobody-knows'"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done = workbench("token", *arguments, data=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_workbench_that_runs_heeds_what_the_command_changes(tmp_path: Path) -> None:
    async def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await anyio.to_thread.run_sync(lambda: workbench("token", *arguments, data=tmp_path))

    async def within_a_second_or_two(token: str, status: int) -> None:
        headers = {"authorization": f"Bearer {token}"}
        with anyio.fail_after(2):
            while (await client.get("/api/v1/jobs", headers=headers)).status_code != status:
                await anyio.sleep(0.1)

    async with served(tmp_path, "http://127.0.0.1:9") as client:
        assert (await client.get("/api/v1/jobs")).status_code == 200
        token = (await command("add", "tablet")).stdout.strip()
        await within_a_second_or_two("wrong", 401)
        await within_a_second_or_two(token, 200)
        revoked = await command("revoke", "tablet")
        assert "No token is left" in revoked.stderr
        await within_a_second_or_two(token, 401)
        assert (await client.get("/api/v1/jobs")).status_code == 401


async def test_beyond_loopback_a_stored_token_is_enough_and_none_is_refused(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "http://127.0.0.1:9", host="0.0.0.0")
    async with Workbench.open(settings, dispatch=False) as open_workbench:
        with pytest.raises(SettingsError, match=r"needs a token.*comfy-workbench token add"):
            async with listening(open_workbench):
                pass
        token = await open_workbench.tokens.add(Token("tablet"))
        async with listening(open_workbench) as address:
            url = address.replace("0.0.0.0", "127.0.0.1") + "/api/v1/jobs"
            async with httpx.AsyncClient(trust_env=False) as http:
                assert (await http.get(url)).status_code == 401
                headers = {"authorization": f"Bearer {token}"}
                assert (await http.get(url, headers=headers)).status_code == 200
                await open_workbench.tokens.revoke("tablet")
                assert (await http.get(url, headers=headers)).status_code == 401
                assert (await http.get(url)).status_code == 401


def test_serve_says_what_to_do_about_a_missing_token(tmp_path: Path) -> None:
    started = time.monotonic()
    done = workbench("serve", "--host", "0.0.0.0", "--port", "0", data=tmp_path)
    assert time.monotonic() - started < 30
    assert done.returncode == 1
    assert "comfy-workbench token add NAME" in done.stderr


def test_logs_of_the_command_line_hide_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_TOKEN", "canary-token-of-settings")
    code = (
        "import logging, sys; from comfy_mcp.cli import main\n"
        "try: main(['token', 'list'])\n"
        "except SystemExit: pass\n"
        "logging.getLogger('x').error('sent canary-token-of-settings')"
    )
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert "ERROR x: sent [hidden]" in done.stderr, done.stderr
