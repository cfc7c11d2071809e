"""How servers are shown: what the settings say of each, and what it says itself when it is asked.

Owns the values of both, and how long a server may take to answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import anyio

from comfy_mcp.backends import ComfyUIBackend, LLMBackend, Member
from comfy_mcp.errors import WorkbenchError
from comfy_mcp.settings import BackendSettings, LLMServerSettings, Settings
from comfy_mcp.settings.servers import Server
from comfy_mcp.workbench import Workbench
from llm_bridge.providers import State

__all__ = ["Card", "Facts", "Known", "answers", "facts_of", "known_servers"]

_SECONDS = 5.0
_MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Known:
    """A server as it is set up. ``fixed`` says why it cannot be changed here, "" when it can."""

    server: Server
    address: str
    is_llm: bool
    mode: str
    fixed: str


@dataclass(frozen=True, slots=True)
class Card:
    """What a ComfyUI computes on; memory in bytes."""

    name: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server says of itself now. ``models`` is None for one that keeps none by name; of ``loaded`` at most a
    few are named."""

    answers: bool
    title: str = ""
    version: str = ""
    cards: tuple[Card, ...] = ()
    models: int | None = None
    loaded: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""


async def known_servers(workbench: Workbench, fixed: Mapping[str, str]) -> list[Known]:
    """All of them, ComfyUIs first. ``fixed`` are the keys of settings that cannot be changed here, and why."""
    settings = workbench.settings
    modes = {member.name: str(member.mode) for member in await workbench.backends()}
    return [
        Known(
            each, str(each.url).rstrip("/"), is_llm(each), modes.get(each.name, "active"), _fixed(settings, each, fixed)
        )
        for each in (*settings.all_backends, *settings.all_llm_servers)
    ]


def is_llm(server: Server) -> bool:
    return isinstance(server, LLMServerSettings)


async def facts_of(member: Member) -> Facts:
    """Ask it; never raises, and never takes long."""
    try:
        with anyio.fail_after(_SECONDS):
            return await _asked(member)
    except TimeoutError:
        return Facts(False)
    except WorkbenchError as failure:
        return Facts(False, problem=failure.message, hint=failure.hint)


async def answers(member: Member | None) -> bool:
    return member is not None and (await facts_of(member)).answers


async def _asked(member: Member) -> Facts:
    backend = member.backend
    if isinstance(backend, ComfyUIBackend):
        return _of_comfyui(await backend.client.system_stats())
    assert isinstance(backend, LLMBackend)
    models = await backend.models(fresh=True)
    title = (await backend.client.dialect()).title
    loaded = [model.id for model in models if model.state is State.LOADED]
    return Facts(True, title, models=len(models), loaded=tuple(loaded[:_MOST_NAMES]))


def _of_comfyui(stats: Any) -> Facts:
    told = cast("dict[str, Any]", stats) if isinstance(stats, dict) else {}
    system = _table(told.get("system"))
    title = f"ComfyUI ({system['engine']})" if system.get("engine") else "ComfyUI"
    devices = told.get("devices")
    cards = [_card(_table(each)) for each in cast("list[Any]", devices)] if isinstance(devices, list) else []
    return Facts(True, title[:64], str(system.get("comfyui_version") or "")[:32], tuple(cards[:_MOST_NAMES]))


def _card(device: Mapping[str, Any]) -> Card:
    # ComfyUI says "cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync"; people know the middle of it.
    name = str(device.get("name") or "?").partition(" : ")[0]
    return Card(name[:64], _bytes(device.get("vram_free")), _bytes(device.get("vram_total")))


def _table(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _bytes(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value == value and 0 <= value < 1e18 else 0


def _fixed(settings: Settings, server: Server, fixed: Mapping[str, str]) -> str:
    tables, plain = ("backends", "comfyui_url") if isinstance(server, BackendSettings) else ("llm_servers", "llm_url")
    return fixed.get(tables if server in getattr(settings, tables) else plain, "")
