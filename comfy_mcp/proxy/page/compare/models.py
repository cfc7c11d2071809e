"""The language models that a person may choose from, by the server that has them.

Owns what of a model is shown. Asks the workbench; used by the form of a new comparison and by a running one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from comfy_mcp.backends import Circuit, LLMBackend
from comfy_mcp.workbench import Workbench
from llm_bridge.providers import Model, State

__all__ = ["Group", "Offered", "away", "groups", "is_set_up"]

_READY = (State.LOADED, State.SLEEPING)


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
    """The models of one server; one that is ``away`` does not answer now."""

    server: str
    away: bool
    models: tuple[Offered, ...]


def is_set_up(workbench: Workbench) -> bool:
    """Whether there is any LLM server."""
    return any(isinstance(member.backend, LLMBackend) for member in workbench.pool.members)


async def groups(workbench: Workbench) -> tuple[Group, ...]:
    """Every server with the models that chat, as they are now. Raises BackendUnavailable when none ever answered."""
    offered = await workbench.chats.offered(fresh=True)
    gone = away(workbench, offered)
    return tuple(
        Group(server, server in gone, tuple(_offered(server, model) for model in models if model.chats))
        for server, models in offered.items()
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
        size=_size(model),
        context=model.window,
        vision=bool(model.vision),
        tools=bool(model.tools),
        thinks=bool(model.reasoning),
    )


def _size(model: Model) -> str:
    """Parameters and weight, as far as they are told."""
    weight = f"{model.size / 1e9:.1f} GB" if model.size else ""
    return " · ".join(part for part in (model.parameters or "", model.quantization or "", weight) if part)
