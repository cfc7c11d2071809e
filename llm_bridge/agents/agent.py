"""An agent, and the replies of several in one thread: each sees who says what, fitted into its model's window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Protocol

from llm_bridge.chat import ChatRequest, Event, Reply, Sampling, Tool
from llm_bridge.context import Fitted, Fitting, Strategy, Summaries, fit, refit
from llm_bridge.conversation import labelled
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, ContextExceeded, UnknownModel
from llm_bridge.messages import Message
from llm_bridge.tokens import Counter, Learned

__all__ = ["Agent", "AgentClient", "Agents", "Opener"]


@dataclass(frozen=True, slots=True)
class Agent:
    """``endpoint`` is None where the file leaves the server to whoever opens it.

    ``strategy`` and ``reserve`` (tokens for the answer) are those of `context.Fitting`.
    """

    name: str
    model: str
    endpoint: Endpoint | None = None
    description: str = ""
    system: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    strategy: Strategy = "error"
    reserve: int | None = None
    tools: tuple[Tool, ...] = ()

    def request(self, messages: Iterable[Message]) -> ChatRequest:
        """The messages under the agent's instructions, which come before all others."""
        instructions = (Message.system(self.system),) if self.system else ()
        return ChatRequest(self.model, (*instructions, *messages), self.sampling, self.tools)


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
        try:
            reply = await client.ask(fitted.request, on_event)
        except ContextExceeded as failure:
            again = await refit(fitted.request, failure, fitting, window)
            fitted = replace(again, notes=(*fitted.notes, *again.notes))
            reply = await client.ask(fitted.request, on_event)
        self._learned.learn(fitted.request, reply.usage.prompt)
        return replace(reply, notes=(*fitted.notes, *reply.notes))


async def _window(client: AgentClient, model: str) -> int | None:
    """None also for a model that the server does not list: some take any name."""
    try:
        return (await client.find(model)).window
    except UnknownModel:
        return None
