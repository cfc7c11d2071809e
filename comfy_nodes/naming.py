"""The models that a list of lines names: names as they are, patterns for what fits, and auto for one that stays.

Owns what auto stands for as long as the process lives: what is best at hand is another model as soon as one was
loaded, and a graph that runs again would compare something else. Everything here runs on the bridge's loop.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from comfy_nodes.servers import Listed, Servers, the_servers
from comfy_nodes.values import Provider
from llm_bridge.errors import BridgeError, UnknownModel
from llm_bridge.router import Candidate, choose

__all__ = ["is_auto", "is_pattern", "models_of"]

_CHOSEN: dict[tuple[Provider, tuple[str, ...], str], str] = {}
"""By the provider, all lines, and the line."""


def is_auto(line: str) -> bool:
    """Whether it stands for the one model that does best."""
    return line == "auto" or line.startswith("auto:")


def is_pattern(line: str) -> bool:
    """Whether it stands for all models that fit."""
    return any(sign in line for sign in "*?[")


async def models_of(provider: Provider, lines: Sequence[str]) -> tuple[str, ...]:
    """The models, each once, as `server/model` where a server was asked for them.

    Names alone stay as they are, and need no server: one that is not there fails its own cells later.

    Raises: BridgeError when a pattern or auto stands for nothing.
    """
    if not any(is_auto(line) or is_pattern(line) for line in lines):
        return tuple(dict.fromkeys(_on(provider, line) for line in lines))
    servers = await the_servers()
    found = {line: await _named(servers, provider, line) for line in lines if not is_auto(line)}
    beside = {name for names in found.values() for name in names}
    for line in filter(is_auto, lines):
        key = provider, tuple(lines), line
        listed = await servers.listed(provider)
        if _CHOSEN.get(key) not in _names(listed):
            (best,) = await servers.resolve(provider, [line])
            _CHOSEN[key] = best if best not in beside else _another(line, listed, beside) or best
        found[line] = (_CHOSEN[key],)
        beside.add(_CHOSEN[key])
    return tuple(dict.fromkeys(name for line in lines for name in found[line]))


async def _named(servers: Servers, provider: Provider, line: str) -> tuple[str, ...]:
    try:
        return await servers.resolve(provider, [line])
    except UnknownModel:
        if is_pattern(line):
            raise
        return (_on(provider, line),)


def _another(line: str, listed: Listed, beside: Collection[str]) -> str | None:
    """The best of those that do not stand beside; None when there is none that will do."""
    others = [each for each in _candidates(listed) if each.name not in beside]
    with suppress(BridgeError):
        return choose(line, others).candidate.name
    return None


def _names(listed: Listed) -> set[str]:
    return {each.name for each in _candidates(listed)}


def _candidates(listed: Listed) -> list[Candidate]:
    return [
        Candidate(server, model)
        for server, models in listed.items()
        if not isinstance(models, BridgeError)
        for model in models
    ]


def _on(provider: Provider, name: str) -> str:
    server = f"{provider.name}/" if provider.name else ""
    return name if name.startswith(server) else server + name
