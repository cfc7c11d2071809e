"""Tokens as they are kept: found by nothing but themselves, and changed for every process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from comfy_mcp.callers import Principal, Right
from comfy_mcp.errors import InvalidParameter, NotFound, Overloaded
from comfy_mcp.jobs import JobRequest
from comfy_mcp.store import Record, SqliteStore
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token, Tokens
from tests.proxy.guard.serving import stored
from tests.workbenches import settings_for


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_token_is_long_random_and_kept_only_as_its_hash(tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens:
        first, second = await tokens.add(Token("first")), await tokens.add(Token("second", "anna"))

        assert first != second
        assert re.fullmatch(r"wb_[\w-]{43}", first)
        for token, name, owner in ((first, "first", "first"), (second, "second", "anna")):
            found = await tokens.principal(token.encode())
            assert found is not None and found.mark and found.mark not in token
            assert found == Principal(name, owner, frozenset({Right.MAKE}), mark=found.mark)
        for wrong in (b"", b"wb_", first[:-1].encode(), first.upper().encode(), b"\xff", first.encode() + b"\n"):
            assert await tokens.principal(wrong) is None
    for file in tmp_path.iterdir():
        assert first.encode() not in file.read_bytes()


async def test_tokens_are_listed_with_what_they_may(tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens:
        await tokens.add(Token("b", "anna", frozenset({Right.MAKE, Right.ADMIN}), rate=0, waiting=3))
        await tokens.add(Token("a"))

        first, second = await tokens.all()

    assert (first.name, first.owner, first.rights, first.rate) == ("a", "a", frozenset({Right.MAKE}), None)
    assert (second.rights, second.rate, second.waiting) == (frozenset({Right.MAKE, Right.ADMIN}), 0, 3)
    assert second.created <= first.created


async def test_what_another_process_changes_counts_within_a_second(tmp_path: Path) -> None:
    clock = Clock()
    async with stored(tmp_path) as elsewhere, SqliteStore.open(tmp_path / "workbench.sqlite3") as store:
        here = Tokens(store, clock)
        assert not await here.exist()
        given = (await elsewhere.add(Token("tablet"))).encode()
        clock.now = 0.9
        assert await here.principal(given) is None
        clock.now = 1.0
        assert await here.principal(given) is not None
        await elsewhere.revoke("tablet")
        clock.now = 1.9
        assert await here.principal(given) is not None
        clock.now = 2.0
        assert await here.principal(given) is None
        assert not await here.exist()


async def test_however_many_ask_at_once_the_tokens_are_read_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, reads = Clock(), 0
    async with SqliteStore.open(tmp_path / "workbench.sqlite3") as store:
        tokens, records = Tokens(store, clock), store.records

        async def counted(owner: str, kind: str) -> Any:
            nonlocal reads
            reads += 1
            return await records(owner, kind)

        monkeypatch.setattr(store, "records", counted)
        for second in range(3):
            clock.now = float(second)
            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(tokens.principal, b"wb_no-such-token")
    assert reads == 3


async def test_a_right_of_a_later_version_is_none(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "workbench.sqlite3") as store:
        tokens = Tokens(store)
        await tokens.add(Token("tablet"))
        value = await store.record("", "token", "tablet")
        assert value is not None
        await store.keep_record(Record("", "token", "tablet", {**value, "rights": ["fly", "make"]}))
        assert (await tokens.all())[0].rights == frozenset({Right.MAKE})


@pytest.mark.parametrize(
    ("token", "parameter"),
    [
        (Token("taken"), "name"),
        (Token(""), "name"),
        (Token("local"), "name"),
        (Token("with space"), "name"),
        (Token("x" * 65), "name"),
        (Token("a\n"), "name"),
        (Token("good", "a\nb"), "owner"),
        (Token("good", rights=frozenset({Right.USERS}), waiting=1), "waiting"),
    ],
)
async def test_what_is_no_token_is_refused_by_name(tmp_path: Path, token: Token, parameter: str) -> None:
    async with stored(tmp_path) as tokens:
        await tokens.add(Token("taken"))
        with pytest.raises(InvalidParameter) as refused:
            await tokens.add(token)
        assert refused.value.parameter == parameter
        assert len(await tokens.all()) == 1


async def test_tokens_are_not_without_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfy_mcp.workbench.tokens._MOST", 2)
    async with stored(tmp_path) as tokens:
        await tokens.add(Token("a"))
        await tokens.add(Token("b"))
        with pytest.raises(InvalidParameter, match="2 tokens already"):
            await tokens.add(Token("c"))


async def test_a_token_that_is_not_there_cannot_be_revoked(tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens:
        with pytest.raises(NotFound, match="There is no token 'tablet'"):
            await tokens.revoke("tablet")


async def test_the_jobs_of_an_owner_that_wait_are_as_many_as_the_smallest_token_says(
    tmp_path: Path, embedded_url: str
) -> None:
    more: dict[str, Any] = {"max_queue_per_owner": 4}
    async with Workbench.open(settings_for(tmp_path, embedded_url, **more), dispatch=False) as workbench:
        await workbench.tokens.add(Token("a", "anna", waiting=9))
        await workbench.tokens.add(Token("b", "anna", waiting=2))
        await workbench.tokens.add(Token("bert", waiting=5))

        async def asked(owner: str) -> int:
            """How many jobs this owner could queue."""
            for number in range(10):
                try:
                    await workbench.submit(JobRequest("txt2img", {"prompt": "a house"}, owner=owner))
                except Overloaded as refused:
                    assert refused.details["retry_after"] >= 1
                    return number
            return 10

        assert [await asked(owner) for owner in ("anna", "bert", "carl")] == [2, 5, 4]


async def test_looking_a_token_up_changes_no_limit(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "workbench.sqlite3") as store:
        tokens, limits = Tokens(store), store.limits
        await tokens.add(Token("anna", waiting=2))
        assert await tokens.exist()
        assert store.limits is limits
        assert [await tokens.most_waiting(owner) for owner in ("anna", "local")] == [2, None]


async def test_a_process_that_nobody_calls_over_http_heeds_the_tokens_too(tmp_path: Path, embedded_url: str) -> None:
    async with stored(tmp_path) as tokens:
        await tokens.add(Token("tablet", "local", waiting=1))
    async with Workbench.open(settings_for(tmp_path, embedded_url), dispatch=False) as workbench:
        await workbench.submit(JobRequest("txt2img", {"prompt": "a house"}))
        with pytest.raises(Overloaded):
            await workbench.submit(JobRequest("txt2img", {"prompt": "a house"}))
