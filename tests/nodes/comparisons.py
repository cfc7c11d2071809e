"""Comparisons that are done, in the run folder where nodes find them, and votes on them through the page's routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aiohttp import web

from comfy_nodes.routes import register
from comfy_nodes.runs import begun, run_id
from comfy_nodes.thread import handed_over
from comfy_nodes.values import Compared
from llm_bridge.compare import Prompt, Results
from tests.bridge.compare.models import PROMPTS, answered

__all__ = ["Booth", "booth", "compared", "kept"]

BALLOTS = "/comfyui-workbench/ballots"


async def compared(answers: Mapping[str, Sequence[str | None]], prompts: Sequence[Prompt] = PROMPTS) -> Compared:
    """What each model answered to each prompt, as LLM Compare would leave it; None is a failure."""
    return await kept(answered(answers, prompts))


async def kept(results: Results) -> Compared:
    """The results, in a run folder too."""
    return await handed_over(_kept(results))


async def _kept(results: Results) -> Compared:
    run = run_id(results.comparison, anew=False)
    async with begun(run, print) as folder:
        await folder.begin(results.comparison)
        await asyncio.gather(*(folder.add(result) for result in results.cells))
    return Compared(results, run)


class Booth:
    """Where people vote, as the page does it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ballots(self, done: Compared, voter: str = "me") -> list[dict[str, Any]]:
        answer = await self._client.get(BALLOTS, params={"run": done.run, "voter": voter})
        return answer.raise_for_status().json()["ballots"]

    async def vote(self, done: Compared, model: str, voter: str = "me", ballot: int = 0) -> None:
        """For the answer of this model. Who wrote what is only told after a vote, so there may be two."""
        seen = (await self.ballots(done, voter))[ballot]
        sent = {"run": done.run, "voter": voter, "ballot": seen["id"], "best": "A"}
        models = (await self._client.post(BALLOTS, json=sent)).raise_for_status().json()["models"]
        (best,) = [label for label, known in models.items() if known == model]
        if best != "A":
            (await self._client.post(BALLOTS, json=sent | {"best": best})).raise_for_status()


@asynccontextmanager
async def booth() -> AsyncGenerator[Booth]:
    """The routes of the pack, on a real socket."""
    routes, app = web.RouteTableDef(), web.Application()
    register(routes)
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as client:
            yield Booth(client)
    finally:
        await runner.cleanup()
