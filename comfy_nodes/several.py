"""Several questions of one node: through the queue beside each other, shown together, the first failure ends them all.

Owns which of them people see, how much is done, and letting go of the models afterwards. For the nodes that ask more
than a single thing without comparing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from comfy_nodes.asking import Shown
from comfy_nodes.host import Running
from comfy_nodes.servers import the_servers
from comfy_nodes.thread import on_bridge
from comfy_nodes.turns import Turn, taking_turns
from comfy_nodes.values import Provider
from llm_bridge.chat import ChatRequest, Reply
from llm_bridge.router import Choice, Router

__all__ = ["Ask", "ask_each"]

Ask = Callable[[ChatRequest], Awaitable[Reply]]
"""Asks one thing in its turn, and shows its answer at the place of the question that it belongs to."""

T = TypeVar("T")


async def ask_each(
    running: Running,
    provider: Provider | None,
    questions: Sequence[Callable[[Ask], Awaitable[T]]],
    *,
    called: str,
    unload_after: bool = False,
) -> list[T]:
    """What every question answers, in their order; ``called`` is what people call one of them.

    A model that is to be unloaded stays while others wait for it, so that a list of calls loads it once.

    Raises: BridgeError, the first of them; ComfyUI's exception for an interrupted graph.
    """

    async def work() -> list[T]:
        servers = await the_servers()
        with taking_turns(running) as turn:
            router = await servers.router(provider or Provider(), running.prompt)
            board = _Board(turn, router, called, len(questions))
            answers = await _all([board.answered(number, question) for number, question in enumerate(questions)])
        if unload_after:
            await asyncio.gather(*(servers.let_go(name) for name in board.answering))
        return answers

    return await on_bridge(running, work)


async def _all(works: Sequence[Awaitable[T]]) -> list[T]:
    """As `asyncio.gather`, but none goes on when one fails or all are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Board:
    """The questions that are being answered. ``answering`` are the models that did, as `server/model`."""

    def __init__(self, turn: Turn, router: Router, called: str, count: int) -> None:
        self._turn, self._router = turn, router
        self._called, self._count = called, count
        self._open = set(range(count))
        self.answering = dict[str, None]()

    async def answered(self, number: int, question: Callable[[Ask], Awaitable[T]]) -> T:
        async def ask(request: ChatRequest) -> Reply:
            return await self._router.ask(request, Shown(_Place(self, number), request).see, on_choice=self._chosen)

        answer = await question(ask)
        self._open.remove(number)
        self._turn.progress(self._count - len(self._open), self._count)
        return answer

    def _chosen(self, choice: Choice) -> None:
        self.answering[choice.candidate.name] = None

    def show(self, number: int, text: str, *, waiting: bool = False) -> None:
        """Of several at once the first is shown."""
        if number == min(self._open):
            show = self._turn.wait if waiting else self._turn.text
            show(f"{self._called} {number + 1} of {self._count}\n\n{text}")


class _Place:
    """The part of the board where one answer grows; the bar of the node counts whole answers only."""

    def __init__(self, board: _Board, number: int) -> None:
        self._board, self._number = board, number

    def text(self, text: str) -> None:
        self._board.show(self._number, text)

    def wait(self, text: str) -> None:
        self._board.show(self._number, text, waiting=True)

    def progress(self, value: int, maximum: int) -> None:
        pass
