"""What the page of ComfyUI asks the pack: which models there are, the ballots of a vote, and how texts differ.

Owns the routes and their JSON. Only servers that are set up or run on this machine are asked, never an address that a
page names. For `__init__`, which registers them where there is a ComfyUI.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from importlib.resources import files
from itertools import islice
from typing import Any, cast

from comfy_nodes.runs import note_vote, run_folder
from comfy_nodes.servers import the_servers
from comfy_nodes.thread import handed_over
from comfy_nodes.values import Provider
from llm_bridge.compare import Ballot, Results, ballots, reports, vote
from llm_bridge.errors import BadInput, BridgeError
from llm_bridge.providers import Model

__all__ = ["register"]

_PLACE = "/comfyui-workbench"
_MOST_VOTE = 10_000
_NEXT_BALLOTS = 5
_MOST_TEXT = 20_000
"""Letters of one text of a ballot."""

Answer = Mapping[str, Any]


def register(routes: Any) -> None:
    """Add the routes to ComfyUI's table of routes (an `aiohttp.web.RouteTableDef`)."""

    @routes.get(f"{_PLACE}/models")
    async def get_models(request: Any) -> Any:
        return await _answered(_models)

    @routes.get(f"{_PLACE}/ballots")
    async def get_ballots(request: Any) -> Any:
        run, voter, after = (request.query.get(name, "") for name in ("run", "voter", "after"))
        return await _answered(lambda: _ballots(run, voter, after))

    @routes.post(f"{_PLACE}/ballots")
    async def post_ballot(request: Any) -> Any:
        # A form of another web page can send any text but not this type, for which its browser would ask first.
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        body = await _body(request) if kind == "application/json" else b""
        return await _answered(lambda: _voted(body))

    @routes.get(f"{_PLACE}/diff.js")
    async def get_diff(request: Any) -> Any:
        from aiohttp import web

        return web.Response(text=await asyncio.to_thread(_diff), content_type="text/javascript")

    _ = get_models, get_ballots, post_ballot, get_diff


async def _answered(work: Callable[[], Awaitable[Answer]]) -> Any:
    """The answer of ``work``, which is done on the bridge's loop. What goes wrong is told, and is never a 500."""
    from aiohttp import web

    async def told() -> tuple[str, int]:
        try:
            return await asyncio.to_thread(json.dumps, await work()), 200
        except BridgeError as failure:
            return json.dumps({"error": {"message": failure.message, "hint": failure.hint}}), 400

    text, status = await handed_over(told())
    return web.Response(text=text, status=status, content_type="application/json")


async def _body(request: Any) -> bytes:
    """What a vote may have, and a byte more if there is more: ComfyUI takes a hundred megabytes, for pictures."""
    body = b""
    while left := _MOST_VOTE + 1 - len(body):
        if not (part := await request.content.read(left)):
            break
        body += part
    return body


def _diff() -> str:
    """What the page of a report compares with, as a module, so that the table in a node compares in the same way."""
    return f"{(files(reports) / 'diff.js').read_text(encoding='utf-8')}\nexport {{ difference }};\n"


async def _models() -> Answer:
    listed = await (await the_servers()).listed(Provider())
    return {
        "servers": [
            {
                "name": name,
                "problem": str(models) if isinstance(models, BridgeError) else "",
                "models": [] if isinstance(models, BridgeError) else [_told(name, model) for model in models],
            }
            for name, models in listed.items()
        ]
    }


def _told(server: str, model: Model) -> Answer:
    return {
        "id": model.id,
        "name": f"{server}/{model.id}",
        "state": model.state,
        "chats": model.chats,
        "size": model.size,
        "context": model.window,
        "vision": model.vision,
        "tools": model.tools,
        "reasoning": model.reasoning,
    }


async def _ballots(run: str, voter: str, after: str) -> Answer:
    """How many ballots there are and are left, and the next few without a vote, behind the one of number ``after``."""
    folder = run_folder(run)
    results, salt = await folder.read(), await folder.salt()
    return await asyncio.to_thread(_next_ballots, results, voter, salt, _number(after))


def _next_ballots(results: Results, voter: str, salt: str, after: int) -> Answer:
    found = ballots(results, voter, salt)
    left = [(number, ballot) for number, ballot in enumerate(found, start=1) if not ballot.voted]
    following = islice((each for each in left if each[0] > after), _NEXT_BALLOTS)
    return {
        "total": len(found),
        "left": len(left),
        "ballots": [_ballot(number, ballot) for number, ballot in following],
        # Who still has to vote must not see who leads.
        "ranking": [] if left else [asdict(rank) for rank in results.ranking],
    }


def _ballot(number: int, ballot: Ballot) -> Answer:
    return {
        "id": ballot.id,
        "number": number,
        "prompt": ballot.prompt.name,
        "text": _shortened(ballot.prompt.text),
        "variant": ballot.variant,
        "repeat": ballot.repeat,
        "choices": [{"label": choice.label, "text": _shortened(choice.text)} for choice in ballot.choices],
    }


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]} … ({len(text) - _MOST_TEXT:,} more characters)"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


async def _voted(body: bytes) -> Answer:
    told = _read(body)
    folder = run_folder(told["run"])
    results, salt = await folder.read(), await folder.salt()
    said = await asyncio.to_thread(vote, results, told["voter"], told["ballot"], told["best"], salt)
    await folder.prefer(said.preferences)
    await asyncio.to_thread(note_vote)
    return {"models": dict(said.models)}


def _read(body: bytes) -> Mapping[str, str]:
    try:
        told = json.loads(body) if len(body) <= _MOST_VOTE else None
        return {name: _text(cast("dict[str, Any]", told)[name]) for name in ("run", "voter", "ballot", "best")}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInput("That is no vote.", hint="Send application/json with run, voter, ballot and best.") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
