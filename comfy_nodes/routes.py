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
from typing import Any, cast

from comfy_nodes.runs import note_vote, run_folder
from comfy_nodes.servers import the_servers
from comfy_nodes.thread import handed_over
from comfy_nodes.values import Provider
from llm_bridge.compare import ballots, reports, vote
from llm_bridge.errors import BadInput, BridgeError
from llm_bridge.providers import Model

__all__ = ["register"]

_PLACE = "/comfyui-workbench"
_MOST_VOTE = 10_000

Answer = Mapping[str, Any]


def register(routes: Any) -> None:
    """Add the routes to ComfyUI's table of routes (an `aiohttp.web.RouteTableDef`)."""

    @routes.get(f"{_PLACE}/models")
    async def get_models(request: Any) -> Any:
        return await _answered(_models)

    @routes.get(f"{_PLACE}/ballots")
    async def get_ballots(request: Any) -> Any:
        run, voter = request.query.get("run", ""), request.query.get("voter", "")
        return await _answered(lambda: _ballots(run, voter))

    @routes.post(f"{_PLACE}/ballots")
    async def post_ballot(request: Any) -> Any:
        # ComfyUI takes bodies of a hundred megabytes, for pictures.
        body = await request.read() if int(request.headers.get("content-length", 0)) <= _MOST_VOTE else b""
        return await _answered(lambda: _voted(body))

    @routes.get(f"{_PLACE}/diff.js")
    async def get_diff(request: Any) -> Any:
        from aiohttp import web

        return web.Response(text=await asyncio.to_thread(_diff), content_type="text/javascript")

    _ = get_models, get_ballots, post_ballot, get_diff


async def _answered(work: Callable[[], Awaitable[Answer]]) -> Any:
    """The answer of ``work``, which is done on the bridge's loop. What goes wrong is told, and is never a 500."""
    from aiohttp import web

    async def told() -> tuple[Answer, int]:
        try:
            return await work(), 200
        except BridgeError as failure:
            return {"error": {"message": failure.message, "hint": failure.hint}}, 400

    answer, status = await handed_over(told())
    return web.json_response(answer, status=status)


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


async def _ballots(run: str, voter: str) -> Answer:
    folder = run_folder(run)
    results = await folder.read()
    found = ballots(results, voter, await folder.salt())
    told = [
        {
            "id": ballot.id,
            "prompt": ballot.prompt.name,
            "text": ballot.prompt.text,
            "variant": ballot.variant,
            "repeat": ballot.repeat,
            "choices": [asdict(choice) for choice in ballot.choices],
            "voted": ballot.voted,
        }
        for ballot in found
    ]
    # Who still has to vote must not see who leads.
    done = bool(found) and all(ballot.voted for ballot in found)
    return {"ballots": told, "ranking": [asdict(rank) for rank in results.ranking] if done else []}


async def _voted(body: bytes) -> Answer:
    told = _read(body)
    folder = run_folder(told["run"])
    said = vote(await folder.read(), told["voter"], told["ballot"], told["best"], await folder.salt())
    await folder.prefer(said.preferences)
    await asyncio.to_thread(note_vote)
    return {"models": dict(said.models)}


def _read(body: bytes) -> Mapping[str, str]:
    try:
        told = json.loads(body)
        return {name: _text(cast("dict[str, Any]", told)[name]) for name in ("run", "voter", "ballot", "best")}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInput("That is no vote.", hint="Send JSON with run, voter, ballot and best.") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
