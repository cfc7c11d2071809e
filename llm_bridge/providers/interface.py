"""What a kind of LLM server is to the client: how it lists, loads, is asked and answers.

Owns the interface and the plain types; each dialect is a module beside it, and `registry` knows them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from llm_bridge.chat import ChatRequest, Done, Event
from llm_bridge.errors import BadAnswer, NotSupported
from llm_bridge.transport import Transport

__all__ = ["MOST_CALLS", "Call", "Decoder", "Dialect", "Model", "State", "called", "named"]

MOST_CALLS = 256
"""Tool calls of one answer: a model that asks for more goes round in circles."""

_LONGEST_NAME = 256


class State(StrEnum):
    """Where a model is."""

    LOADED = "loaded"
    LOADING = "loading"
    SLEEPING = "sleeping"
    """Its server keeps it ready, and must wake it first."""
    UNLOADED = "unloaded"
    DOWNLOADING = "downloading"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Model:
    """A model as its server tells of it; what it does not tell is None.

    ``size`` is bytes on disk or in memory; ``context`` is the window in tokens as it is loaded, ``max_context`` what
    the model could have; ``expires`` is in how many seconds an idle one is unloaded. ``chats`` is False for models
    that only embed or rank. ``instances`` are what must be named to unload it, where that is another name;
    ``aliases`` are what a request may call it as well.
    """

    id: str
    state: State | None = None
    size: int | None = None
    context: int | None = None
    max_context: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    chats: bool = True
    expires: float | None = None
    parameters: str | None = None
    quantization: str | None = None
    instances: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def window(self) -> int | None:
        """How many tokens a request may have, as far as that is known."""
        return self.context if self.context is not None else self.max_context


def named(name: str, models: Iterable[Model]) -> Model | None:
    """The model that a server means by this name: its own before one that it takes as well."""
    alias: Model | None = None
    for model in models:
        if model.id == name:
            return model
        if alias is None and name in model.aliases:
            alias = model
    return alias


def called(server: str, before: int) -> None:
    """Begins one more tool call of an answer that has ``before``. Raises BadAnswer when those are all it may have."""
    if before >= MOST_CALLS:
        raise BadAnswer(
            f"{server} asks for more than {MOST_CALLS} tool calls in one answer.",
            hint="Choose another model: this one may go round in circles.",
        )


@dataclass(frozen=True, slots=True)
class Call:
    """A chat as it is posted; ``headers`` are those of its own."""

    path: str
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Decoder(Protocol):
    """The state of one answer while its pieces come."""

    @property
    def ended(self) -> bool:
        """Whether the server said that nothing more comes."""
        ...

    def feed(self, name: str, data: str) -> list[Event]:
        """The events of one piece, a Server-Sent Event of this ``name`` or a line.

        Raises:
            BadAnswer: it is not what the protocol says.
            BridgeError: it tells of a failure.
        """
        ...

    def flush(self) -> list[Event]:
        """What was held back, now that nothing more comes."""
        ...

    def end(self) -> Done:
        """The last event. Raises ServerLost when the answer is not whole."""
        ...


class Dialect:
    """One server of a kind. What a kind cannot do stays as it is here.

    ``title`` is for people; ``ports`` are where such a server listens when nobody says otherwise.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    ports: ClassVar[tuple[int, ...]] = ()
    loads: bool = False
    """Whether it loads a model when told to, apart from a request."""
    unloads: bool = False
    queues: ClassVar[bool] = False
    """Whether it has a queue of its own, for all who ask it: then what waits there is no dead server, no other queue
    holds requests back, and the comments of a stream are pieces that its decoder is fed (`transport.COMMENT`)."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def learn(self) -> None:
        """Find out what this one server can do, where not all of its kind can; asked once, before anything else.

        Raises BridgeError as `Transport.send` does.
        """

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        """Whether what answers there is of this kind, by what no other kind has. Raises ServerUnavailable, TimedOut."""
        raise NotImplementedError

    async def models(self) -> list[Model]:
        """What it offers, in its own order. Raises BridgeError as `Transport.send` does."""
        raise NotImplementedError

    async def offered(self) -> list[Model]:
        """What it offers that can be named. Raises BridgeError as `Transport.send` does.

        A name that is longer than any file's, or holds what cannot be seen, is no name: it would act on the terminals
        and logs that it is shown in.
        """
        return [
            replace(model, aliases=tuple(filter(_is_name, model.aliases)))
            for model in await self.models()
            if _is_name(model.id)
        ]

    async def load(self, model: str, *, context: int | None = None, ttl: float | None = None) -> None:
        """Load a model and wait until it is there. ``context`` tokens and ``ttl`` seconds where it can be told.

        Raises:
            UnknownModel, LoadFailed: there is none, or it does not fit.
            NotSupported: it cannot be told to load.
            TimedOut: it took longer than `Timeouts.load`.
        """
        raise NotSupported(f"{self.title} loads a model only on its first request.", hint="Just ask it.")

    async def unload(self, model: str) -> None:
        """Let go of a model and wait until it is gone; one that is not loaded is no failure. Raises NotSupported."""
        raise NotSupported(f"{self.title} cannot be told to unload a model.", hint="Stop it to free its memory.")

    def call(self, request: ChatRequest) -> Call:
        """The request as this server wants it."""
        raise NotImplementedError

    def decoder(self, request: ChatRequest) -> Decoder:
        """For the answer to ``request``."""
        raise NotImplementedError

    async def count(self, request: ChatRequest) -> int | None:
        """Tokens of the whole prompt as the server counts them, None when it does not."""
        return None


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and text.isprintable()
