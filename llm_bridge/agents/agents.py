"""Agents at work: their replies in one thread, each told who says what, and fitted into its model's window.

Owns what an agent sees of a thread and the second try of a prompt that is too long. The file is `file`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from llm_bridge.agents.agent import Agent
from llm_bridge.agents.file import load
from llm_bridge.chat import ChatRequest, Event, Reasoning, Reply, Text, ToolCallPiece
from llm_bridge.context import Fitted, Fitting, Summaries, fit, refit
from llm_bridge.conversation import labelled
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, ContextExceeded, UnknownModel
from llm_bridge.messages import Message
from llm_bridge.queue import Queue
from llm_bridge.tokens import Counter, Learned

__all__ = ["AgentClient", "Agents", "Opener"]


class _Known(Protocol):
    @property
    def window(self) -> int | None: ...


class AgentClient(Protocol):
    """What an agent needs of a client or of a queue in front of one."""

    async def find(self, model: str) -> _Known:
        """The model, with its ``window`` in tokens, None where it is unknown. Raises UnknownModel."""
        ...

    async def count(self, request: ChatRequest) -> int | None:
        """Tokens of the whole prompt by the server, None where it cannot count."""
        ...

    async def ask(self, request: ChatRequest, on_event: Callable[[Event], Any] | None = None) -> Reply:
        """The whole reply; ``on_event`` sees every event as it comes."""
        ...


Opener = Callable[[Agent], AgentClient]
"""The client for an agent, which whoever opens it also closes."""


class Agents:
    """The agents of a file, at work. ``learned`` is what is known of the models' tokens, and grows."""

    def __init__(self, agents: Iterable[Agent], opener: Opener, learned: Learned | None = None) -> None:
        self._agents = {agent.name: agent for agent in agents}
        self._open = opener
        self._learned = learned or Learned()
        self._summaries = {
            agent.name: Summaries(lambda request, agent=agent: opener(agent).ask(request))
            for agent in self._agents.values()
        }

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, endpoints: Iterable[Endpoint] = (), *, learned: Learned | None = None
    ) -> AsyncGenerator[Agents]:
        """The agents of a file, behind one queue for their servers and ``endpoints``.

        An agent that names no server asks whichever of all these has its model.

        Raises:
            BadInput: as `load` and `Queue.open`, or there is no server for an agent.
        """
        agents, servers, places = await asyncio.to_thread(load, path), list(endpoints), dict[str, str]()
        for agent in agents:
            if agent.endpoint is not None:
                places[agent.name] = _place(agent.endpoint, servers).name
        if not servers and agents:
            raise BadInput(f"{path.name} names no server.", hint="Give its agents a baseURL.")
        async with Queue.open(servers) as queue:
            yield cls(agents, lambda agent: _Placed(queue, places.get(agent.name)), learned)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._agents)

    def agent(self, name: str) -> Agent:
        """Raises: BadInput, if there is none of this name."""
        if name not in self._agents:
            near = get_close_matches(name, self._agents, 1)
            known = ", ".join(self._agents)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {known}." if known else "There are none."
            raise BadInput(f'There is no agent "{name[:64]}".', hint=hint)
        return self._agents[name]

    async def reply(
        self, name: str, thread: Sequence[Message], on_event: Callable[[Event], Any] | None = None
    ) -> Reply:
        """What the agent ``name`` answers to the thread, streamed to ``on_event``; its notes tell what was left out.

        Messages of the thread are named by who says them. When the server finds the prompt too long after all, it is
        fitted by the server's own numbers and sent once more, before anything of an answer came.

        Raises:
            ContextExceeded: it does not fit, or the agent's strategy is error.
            BridgeError: whatever asking raises.
        """
        agent = self.agent(name)
        client = self._open(agent)
        fitting = Fitting(Counter(self._learned, client), agent.strategy, agent.reserve, self._summaries[name])
        request = agent.request(labelled(thread, own=name))
        window = await _window(client, agent.model)
        fitted = Fitted(request) if window is None else await fit(request, window, fitting)
        began = False

        def see(event: Event) -> None:
            nonlocal began
            began = began or isinstance(event, Text | Reasoning | ToolCallPiece)
            if on_event is not None:
                on_event(event)

        try:
            reply = await client.ask(fitted.request, see)
        except ContextExceeded as failure:
            if began:
                raise
            again = await refit(fitted.request, failure, fitting, window)
            fitted = replace(again, notes=(*fitted.notes, *again.notes))
            reply = await client.ask(fitted.request, on_event)
        self._learned.learn(fitted.request, reply.usage.prompt)
        return replace(reply, notes=(*fitted.notes, *reply.notes))


def _place(endpoint: Endpoint, servers: list[Endpoint]) -> Endpoint:
    """The one of ``servers`` that is the same; it is added when none is."""
    for server in servers:
        if server.root == endpoint.root and endpoint.key_env in (None, server.key_env):
            return server
    servers.append(endpoint)
    return endpoint


@dataclass(frozen=True, slots=True)
class _Placed:
    """A queue for an agent whose server is ``server``, None for any."""

    queue: Queue
    server: str | None

    async def find(self, model: str) -> _Known:
        return await self.queue.find(model, server=self.server)

    async def count(self, request: ChatRequest) -> int | None:
        return await self.queue.count(request, server=self.server)

    async def ask(self, request: ChatRequest, on_event: Callable[[Event], Any] | None = None) -> Reply:
        return await self.queue.ask(request, on_event, server=self.server)


async def _window(client: AgentClient, model: str) -> int | None:
    """None also for a model that the server does not list: some take any name."""
    try:
        return (await client.find(model)).window
    except UnknownModel:
        return None
