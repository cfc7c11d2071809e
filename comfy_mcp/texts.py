"""Jobs that answer text: a chat with a language model as a bound job, and its reply as the outputs of one.

Owns how both are spelled in a job. Pictures in a message are assets, as those of a workflow are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from comfy_mcp.jobs import BoundWorkflow, Job, Output, Picture, Upload
from llm_bridge import errors
from llm_bridge.chat import ChatRequest, Reply
from llm_bridge.errors import BridgeError, ServerError
from llm_bridge.messages import Image, Message, Part

__all__ = ["CHAT", "bound_chat", "failure_of", "images_of", "needs_of_chat", "outputs_of", "reply_of", "request_of"]

CHAT = "chat"
"""What stands in the place of a template's id in a job that asks a language model."""

_MOST_SHOWN = 2000

_KINDS = {kind.code: kind for kind in map(partial(getattr, errors), errors.__all__) if issubclass(kind, BridgeError)}
_REQUEST = TypeAdapter(ChatRequest)
_REPLY = TypeAdapter(Reply)


def images_of(request: ChatRequest) -> Iterator[Image]:
    """The pictures of a request in their order."""
    for message in request.messages:
        yield from message.images


def bound_chat(request: ChatRequest, assets: Sequence[str]) -> BoundWorkflow:
    """The job of a request whose pictures are stored as ``assets``, in their order."""
    names, places = iter(assets), list[tuple[int, int, str, str]]()
    for number, message in enumerate(request.messages):
        for position, part in enumerate(message.parts):
            if isinstance(part, Image):
                places.append((number, position, next(names), part.mime))
    messages = tuple(replace(message, parts=_texts(message)) for message in request.messages)
    # What a graph asks for is not stored, and what is stored is asked by no graph.
    told = _REQUEST.dump_python(replace(request, messages=messages), mode="json", exclude={"within"})
    uploads = tuple(Upload(asset, ()) for asset in dict.fromkeys(assets))
    return BoundWorkflow({}, _shown(request), uploads, chat={"request": told, "images": places})


def request_of(bound: BoundWorkflow, pictures: Mapping[str, Picture]) -> ChatRequest:
    """The request of a job, with its pictures by asset id."""
    assert bound.chat is not None
    request = _REQUEST.validate_python(bound.chat["request"])
    parts: list[list[Part]] = [list(message.parts) for message in request.messages]
    images: list[tuple[int, int, str, str]] = bound.chat["images"]
    for number, position, asset, mime in images:
        parts[number].insert(position, Image(pictures[asset].data, mime))
    messages = zip(request.messages, parts, strict=True)
    return replace(request, messages=tuple(replace(message, parts=tuple(part)) for message, part in messages))


def outputs_of(reply: Reply) -> tuple[Output, ...]:
    """The reply as a job keeps it: `text`, `reasoning` when there is some, and `reply` for all the rest."""
    told = _REPLY.dump_python(replace(reply, text="", reasoning=""), mode="json", exclude={"text", "reasoning"})
    thought = (Output("", "reasoning", reply.reasoning),) if reply.reasoning else ()
    return (Output("", "text", reply.text), *thought, Output("", "reply", told))


def reply_of(job: Job) -> Reply:
    """The reply of a job that succeeded; how long it waited is known to the job alone."""
    found = {output.kind: output.value for output in job.outputs}
    told = {**found["reply"], "text": found["text"], "reasoning": found.get("reasoning", "")}
    reply = _REPLY.validate_python(told)
    return reply.measured(queued=(job.started - job.created).total_seconds()) if job.started else reply


def failure_of(job: Job) -> BridgeError:
    """Why a job that ended has no reply, as the bridge would have said it."""
    told = job.error
    if told is None:
        return BridgeError(f"The job was {job.state}.", hint="Ask again.")
    return _KINDS.get(told.details.get("llm", ""), ServerError)(told.message, hint=told.hint)


def needs_of_chat(model: str, server: str | None) -> frozenset[str]:
    """What a backend must offer to answer: the model, and to be that server where one is named."""
    return frozenset({f"llm:{model}"} | ({f"server:{server}"} if server else set()))


def _texts(message: Message) -> tuple[str, ...]:
    return tuple(part for part in message.parts if isinstance(part, str))


def _shown(request: ChatRequest) -> dict[str, Any]:
    """What a person sees of it in a list of jobs."""
    sampling = request.sampling
    asked = [message.text for message in request.messages if message.role == "user"]
    system = [message.text for message in request.messages if message.role == "system"]
    values: dict[str, Any] = {"model": request.model, "prompt": asked[-1][:_MOST_SHOWN] if asked else ""}
    values |= {"system": system[0][:_MOST_SHOWN]} if system else {}
    given = {name: getattr(sampling, name) for name in ("temperature", "seed", "max_tokens")}
    return values | {name: value for name, value in given.items() if value is not None}
