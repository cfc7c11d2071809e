"""One chat with a model: what is asked, the events that come, and the reply they add up to.

Plain types without I/O. What is unknown is None, never 0: servers differ in what they tell. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llm_bridge.gathered import Gathered
from llm_bridge.messages import Message, ToolCall

__all__ = [
    "ChatRequest",
    "Done",
    "Event",
    "Finish",
    "Loading",
    "Metrics",
    "Prompting",
    "Reasoning",
    "Reply",
    "Restarted",
    "Sampling",
    "Text",
    "Timings",
    "Tool",
    "ToolCallPiece",
    "Transcript",
    "Usage",
    "Waiting",
]

Finish = Literal["stop", "length", "tool_calls", "content_filter", "unknown"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. None leaves it to the server. ``stop`` are texts that end the answer."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask to call. ``parameters`` is the JSON Schema of its arguments."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a server is asked. ``model`` is the server's own name for it.

    ``schema`` is a JSON Schema that the answer must fit. ``think`` True or False asks a reasoning model to think or
    not, None leaves it. ``tool_choice`` is auto, none, required or the name of a tool. ``ttl`` is how many seconds the
    server should keep the model afterwards, where it can be told. ``extra`` are fields of the server's own, sent as
    they are. ``within`` is the id of the ComfyUI prompt whose graph asks, which changes nothing of the answer: a
    workbench is told, so that the graph does not wait for the card that it holds itself.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    schema: Mapping[str, Any] | None = None
    think: bool | None = None
    ttl: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them: ``cached`` of the prompt needed no work, ``completion`` has ``reasoning``."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds as the server measured them; ``queued`` are those that it let others go first."""

    load: float | None = None
    prompt: float | None = None
    generation: float | None = None
    tokens_per_second: float | None = None
    queued: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """``ahead`` requests start before this one."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Loading:
    """The server loads the model; ``fraction`` 0..1 of it is there."""

    model: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Prompting:
    """The server reads the prompt: ``done`` of ``total`` tokens, None where it does not count."""

    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """More of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """More of what the model thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """More of the ``index``-th tool call; ``id`` and ``name`` come with its first piece."""

    index: int
    arguments: str = ""
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Restarted:
    """What came so far counts no more; the answer begins anew with what comes next.

    Either the model is asked once more, since its answer did not fit the request's schema: then this comes after a
    `Done`. Or what came as text turned out to be thought: then it comes again, as that.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The answer is whole; nothing comes after it, unless a `Restarted` does."""

    finish: Finish = "unknown"
    usage: Usage = Usage()
    timings: Timings = Timings()
    model: str = ""


Event = Waiting | Loading | Prompting | Text | Reasoning | ToolCallPiece | Restarted | Done


@dataclass(frozen=True, slots=True)
class Metrics:
    """Seconds as the client measured them. ``ttft`` is from sending the request to the first token of any kind.

    ``queued`` and ``load`` come before that and are not in it; a model that the server loads on request is in ``ttft``.
    ``seconds`` is from sending to the end.
    """

    queued: float | None = None
    load: float | None = None
    ttft: float | None = None
    seconds: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The whole answer. ``data`` is its JSON when the request had a schema; ``notes`` tell what was done about it.

    When it was asked for twice, ``usage`` and ``metrics.seconds`` are of both together.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "unknown"
    usage: Usage = Usage()
    timings: Timings = Timings()
    metrics: Metrics = Metrics()
    model: str = ""
    server: str = ""
    data: Any = None
    notes: tuple[str, ...] = ()

    @property
    def message(self) -> Message:
        """As the next turn of the conversation."""
        return Message("assistant", (self.text,), reasoning=self.reasoning, tool_calls=self.tool_calls)

    @property
    def tokens_per_second(self) -> float | None:
        """How fast it was written: by the server's clock where it tells, else by the client's."""
        told = self.timings.tokens_per_second
        return self.metrics.tokens_per_second if told is None else told

    def measured(self, **metrics: float | None) -> Reply:
        """The same with more measured."""
        return replace(self, metrics=replace(self.metrics, **metrics))


@dataclass(slots=True)
class _Calling:
    """A tool call while it comes."""

    id: str = ""
    name: str = ""
    arguments: Gathered = field(default_factory=Gathered)

    @property
    def whole(self) -> ToolCall:
        return ToolCall(self.id, self.name, self.arguments.text)


class Transcript:
    """Adds events up to a reply, in the order they come."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._text, self._reasoning = Gathered(), Gathered()
        self._calls = dict[int, _Calling]()
        self.done: Done | None = None

    def add(self, event: Event) -> None:
        match event:
            case Text(text):
                self._text.add(text)
            case Reasoning(text):
                self._reasoning.add(text)
            case ToolCallPiece(index, arguments, id, name):
                call = self._calls.setdefault(index, _Calling())
                call.id, call.name = id or call.id, name or call.name
                call.arguments.add(arguments)
            case Restarted():
                self._begin()
            case Done():
                self.done = event
            case _:
                pass

    @property
    def text(self) -> str:
        return self._text.text

    @property
    def reasoning(self) -> str:
        return self._reasoning.text

    @property
    def reply(self) -> Reply:
        """What there is so far; whole once `Done` was added."""
        done = self.done or Done()
        calls = tuple(self._calls[index].whole for index in sorted(self._calls))
        return Reply(self.text, self.reasoning, calls, done.finish, done.usage, done.timings, model=done.model)
