"""An agent: a model with its instructions and habits, as a file names it. Plain data; asks nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from llm_bridge.chat import ChatRequest, Sampling, Tool
from llm_bridge.context import Strategy
from llm_bridge.endpoints import Endpoint
from llm_bridge.messages import Message

__all__ = ["Agent"]


@dataclass(frozen=True, slots=True)
class Agent:
    """``endpoint`` is None where the file leaves the server to whoever opens it.

    ``strategy`` and ``reserve`` (tokens for the answer) are those of `context.Fitting`. ``notes`` tell what of the file
    was passed over.
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
    notes: tuple[str, ...] = ()

    def request(self, messages: Iterable[Message]) -> ChatRequest:
        """The messages under the agent's instructions, which come before all others."""
        instructions = (Message.system(self.system),) if self.system else ()
        return ChatRequest(self.model, (*instructions, *messages), self.sampling, self.tools)
