"""The language models that a person may choose from, by the server that has them.

Owns what of a model is shown. Asks the workbench; used by the form of a new comparison and by a running one.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import anyio

from comfy_mcp.backends import Circuit, LLMBackend, Member
from comfy_mcp.errors import BackendUnavailable, NotFound, WorkbenchError
from comfy_mcp.workbench import Workbench
from llm_bridge.providers import Model, State

__all__ = ["Group", "Offered", "away", "group", "groups", "is_set_up", "size_of"]

_READY = (State.LOADED, State.SLEEPING)
_PATIENCE_SECONDS = 3.0
"""How long the form waits for its servers: whoever answers later is filled in."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A model as it is chosen: ``name`` is `server/model`, ``size`` in words, ``context`` in tokens."""

    name: str
    title: str
    loaded: bool
    loading: bool
    size: str
    context: int | None
    vision: bool
    tools: bool
    thinks: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The models of one server. One that is ``away`` does not answer now, and ``why``; ``unseen``: it never did yet."""

    server: str
    away: bool
    unseen: bool
    why: str
    models: tuple[Offered, ...]


def is_set_up(workbench: Workbench) -> bool:
    """Whether there is any LLM server."""
    return any(isinstance(member.backend, LLMBackend) for member in workbench.pool.members)


async def groups(workbench: Workbench) -> tuple[Group, ...]:
    """Every server with the models that chat, as they are now; one that keeps people waiting has what it had."""
    with anyio.move_on_after(_PATIENCE_SECONDS), suppress(BackendUnavailable):
        await workbench.chats.offered(fresh=True)
    members = [member for member in workbench.pool.members if not member.leaving]
    return tuple(_group(member, member.backend) for member in members if isinstance(member.backend, LLMBackend))


async def group(workbench: Workbench, server: str) -> Group:
    """One server, asked once more as long as that takes. Raises NotFound."""
    member = workbench.pool.find(server)
    if member is None or not isinstance(member.backend, LLMBackend):
        raise NotFound("There is no such LLM server.", hint="Open the form anew.")
    try:
        await member.backend.models(fresh=True)
    except WorkbenchError as failure:
        workbench.pool.heard(member, failure)
    else:
        workbench.pool.heard(member, None)
    return _group(member, member.backend)


def _group(member: Member, backend: LLMBackend) -> Group:
    server, failure = member.name, member.breaker.failure
    return Group(
        server,
        away=member.breaker.circuit is Circuit.OPEN,
        unseen=not backend.known,
        why=f"{failure.message} {failure.hint}".strip() if failure else "",
        models=tuple(_offered(server, model) for model in backend.known if model.chats),
    )


def away(workbench: Workbench, servers: Collection[str]) -> tuple[str, ...]:
    """Those of these servers that do not answer now, or are not set up any more."""
    found = {server: workbench.pool.find(server) for server in servers}
    return tuple(server for server, member in found.items() if member is None or member.breaker.circuit is Circuit.OPEN)


def _offered(server: str, model: Model) -> Offered:
    return Offered(
        name=f"{server}/{model.id}",
        title=model.id,
        loaded=model.state in _READY,
        loading=model.state is State.LOADING,
        size=size_of(model),
        context=model.window,
        vision=bool(model.vision),
        tools=bool(model.tools),
        thinks=bool(model.reasoning),
    )


def size_of(model: Model) -> str:
    """Parameters and weight, as far as they are told and say something: a bare number or nothing does not."""
    parameters = "" if (model.parameters or "").isdigit() else model.parameters
    weight = f"{(model.size or 0) / 1e9:.1f} GB"
    quantization = (model.quantization or "").removeprefix("all ")
    return " · ".join(part for part in (parameters, quantization, "" if weight == "0.0 GB" else weight) if part)
