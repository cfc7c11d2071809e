"""How often one may ask: the arithmetic by itself, and who is counted as whom."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from comfy_mcp.callers import Right
from comfy_mcp.proxy.guard import Rules
from comfy_mcp.proxy.guard import rates as module
from comfy_mcp.proxy.guard.rates import Rates
from comfy_mcp.workbench.tokens import Token
from tests.proxy.guard.serving import TOKEN, bearer, guarded, stored
from tests.workbenches import served


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("rate", [1, 7, 60, 1200])
def test_a_minute_holds_its_requests_and_fills_up_evenly(rate: int) -> None:
    clock = Clock()
    rates = Rates(clock)

    assert [rates.take("a", rate) for _ in range(rate)] == [0.0] * rate
    wait = rates.take("a", rate)
    assert wait == pytest.approx(60 / rate)
    clock.now += wait * 0.9
    assert rates.take("a", rate) == pytest.approx(wait * 0.1)
    clock.now += wait * 0.1
    assert rates.take("a", rate) == 0.0
    assert rates.take("a", rate) == pytest.approx(60 / rate)
    assert rates.take("b", rate) == 0.0
    clock.now += 1_000_000
    assert [rates.take("a", rate) > 0 for _ in range(rate + 1)] == [False] * rate + [True]


def test_nought_is_any_number() -> None:
    rates = Rates(Clock())
    assert {rates.take("a", 0) for _ in range(10_000)} == {0.0}


def test_the_memory_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_NAMES", 10)
    rates = Rates(Clock())
    rates.take("a", 1)
    for number in range(9):
        rates.take(str(number), 1)
    assert rates.take("a", 1) > 0
    for number in range(100):
        rates.take(f"x{number}", 1)
    assert len(rates._full_at) == 10  # pyright: ignore[reportPrivateUsage]


async def test_too_many_requests_are_told_when_to_come_again(http: httpx.AsyncClient) -> None:
    async with guarded(Rules(token=TOKEN, rate=2)) as url:
        answers = [await http.get(url, headers=bearer(TOKEN)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].headers["retry-after"] in ("29", "30")
        assert answers[2].json()["error"]["code"] == "too_many"
        # Who has no token is counted by address, and so are those who need none.
        assert [(await http.get(url + path)).status_code for path in ("", "/link", "/link")] == [401, 200, 429]


async def test_who_asks_in_vain_keeps_nobody_of_their_address_from_the_page(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9", token=TOKEN, rate=5) as client:
        assert [(await client.get("/api/v1/jobs")).status_code for _ in range(6)] == [401] * 5 + [429]
        # What is answered from memory costs less than to count it.
        assert {(await client.get("/healthz")).status_code for _ in range(20)} == {200}
        assert {(await client.get("/static/x.js")).status_code for _ in range(20)} == {404}
        page = await client.get("/sign-in")
        style = re.search(r"/static/page\.css\?v=\w+", page.text)
        assert style is not None and (await client.get(style[0])).status_code == 200
        assert (await client.post("/sign-in", data={"token": TOKEN})).status_code == 303


async def test_tokens_are_not_guessed_faster_than_the_rate(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9", token=TOKEN, rate=3) as client:
        answers = [await client.post("/sign-in", data={"token": f"guess {number}"}) for number in range(4)]
        assert [answer.status_code for answer in answers] == [403, 403, 403, 429]
        assert (await client.get("/enter/forged")).status_code == 429
        # Who has theirs already is not held up.
        assert (await client.get("/api/v1/jobs", headers=bearer(TOKEN))).status_code == 200


async def test_each_token_is_counted_by_itself_and_may_have_a_rate_of_its_own(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with stored(tmp_path) as tokens:
        slow, fast = await tokens.add(Token("slow", rate=1)), await tokens.add(Token("fast", rate=0))
        plain = await tokens.add(Token("plain", rights=frozenset({Right.ADMIN})))
        async with guarded(Rules(rate=2), tokens) as url:

            async def answered(token: str) -> list[int]:
                return [(await http.get(url, headers=bearer(token))).status_code for _ in range(4)]

            assert await answered(slow) == [200, 429, 429, 429]
            assert await answered(fast) == [200] * 4
            # Also what is refused counts.
            assert await answered(plain) == [403, 403, 429, 429]
