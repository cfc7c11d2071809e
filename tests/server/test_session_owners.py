"""A session is of who opened it: to everybody else it is not there, whatever they know of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_mcp.proxy import listening
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.server.test_sessions import initialize
from tests.workbenches import settings_for

LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["message"]


def client(address: str, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=address, headers={"authorization": f"Bearer {token}"}, trust_env=False)


@pytest.mark.requirement("R2")
async def test_another_token_does_not_find_the_session_not_even_after_a_restart(tmp_path: Path) -> None:
    more: dict[str, Any] = {"token": "a-token-of-sixteen"}
    async with Workbench.open(settings_for(tmp_path, "http://127.0.0.1:9", **more), dispatch=False) as workbench:
        anna, bert = await workbench.tokens.add(Token("anna")), await workbench.tokens.add(Token("bert"))
        async with listening(workbench) as address, client(address, anna) as http, client(address, bert) as other:
            session = await initialize(http, "/mcp")
            assert (await http.post("/mcp", json=LIST, headers=session)).status_code == 200
            for method in ("POST", "GET", "DELETE"):
                answer = await other.request(method, "/mcp", json=LIST if method == "POST" else None, headers=session)
                assert told(answer) == (404, "Session not found")
            assert (await http.post("/mcp", json=LIST, headers=session)).status_code == 200

        # Another process: only the key that signs is the same.
        async with listening(workbench) as address, client(address, anna) as http, client(address, bert) as other:
            assert told(await other.post("/mcp", json=LIST, headers=session)) == (404, "Session not found")
            async with client(address, "a-token-of-sixteen") as owner:
                assert told(await owner.post("/mcp", json=LIST, headers=session)) == (404, "Session not found")
            again = await http.post("/mcp", json=LIST, headers=session)
            assert again.status_code == 200
            assert again.json()["result"]["tools"]
