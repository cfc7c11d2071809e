"""How much memory the backends have and what they hold, as far as they tell.

Owns how often they are asked, which is seldom, and that one which does not answer holds nobody up for long.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import anyio

from comfy_mcp.backends import Circuit, ComfyUIBackend, LLMBackend, Member, Pool
from comfy_mcp.errors import WorkbenchError

__all__ = ["Held", "Memories"]

_FRESH_SECONDS, _SILENT_SECONDS = 5.0, 60.0
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """``free`` of ``total`` bytes of the card, or of the machine where there is none; 0 of 0 when nobody tells.
    ``models`` are those that are loaded, with their bytes where these are told."""

    free: int = 0
    total: int = 0
    models: tuple[tuple[str, int | None], ...] = ()


class Memories:
    """What the backends of a pool hold."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._held: dict[str, Held] = {}
        self._next: dict[str, float] = {}

    async def all(self) -> Mapping[str, Held]:
        """By the name of the backend, at most a few seconds old."""
        now = time.monotonic()
        due = [each for each in self._pool.members if self._next.get(each.name, 0.0) <= now]
        for member in due:
            self._next[member.name] = now + _FRESH_SECONDS
        async with anyio.create_task_group() as tasks:
            for member in due:
                tasks.start_soon(self._ask, member)
        return self._held

    async def _ask(self, member: Member) -> None:
        held = Held()
        try:
            with anyio.fail_after(_PATIENCE_SECONDS):
                if member.breaker.circuit is not Circuit.OPEN:
                    held = await _held(member)
        except (WorkbenchError, TimeoutError):
            self._next[member.name] = time.monotonic() + _SILENT_SECONDS
        self._held[member.name] = held


async def _held(member: Member) -> Held:
    backend = member.backend
    if isinstance(backend, LLMBackend):
        loaded = [(model.id, model.size) for model in backend.known if model.state in ("loaded", "loading")]
        return Held(models=tuple(loaded))
    if isinstance(backend, ComfyUIBackend):
        return _told(await backend.client.system_stats())
    return Held()


def _told(stats: Mapping[str, Any]) -> Held:
    """The first device, unless it is the processor, whose memory is that of the machine."""
    devices, system = stats.get("devices"), stats.get("system")
    device: Any = cast("list[Any]", devices)[0] if isinstance(devices, list) and devices else None
    if isinstance(device, dict) and cast("dict[str, Any]", device).get("type") != "cpu":
        return _sizes(cast("dict[str, Any]", device), "vram")
    return _sizes(cast("dict[str, Any]", system), "ram") if isinstance(system, dict) else Held()


def _sizes(told: Mapping[str, Any], kind: str) -> Held:
    free, total = told.get(f"{kind}_free"), told.get(f"{kind}_total")
    return Held(int(free), int(total)) if isinstance(free, int | float) and isinstance(total, int | float) else Held()
