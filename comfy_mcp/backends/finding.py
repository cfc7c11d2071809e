"""What answers at an address: a ComfyUI, an LLM server of some kind, or nothing of ours; and looking for both.

Asks no machine but this one, unless an address is given. Used where a person sets servers up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import anyio

from comfy_mcp.backends.bridge_failures import translated
from comfy_mcp.comfyui import ComfyUI
from comfy_mcp.errors import BackendUnavailable, InvalidParameter, WorkbenchError
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BridgeError, KeyRefused
from llm_bridge.providers.registry import detect, dialect_named
from llm_bridge.scan import scan
from llm_bridge.transport import Timeouts, Transport

__all__ = ["Found", "found_at", "found_here"]

_SECONDS = 6.0
_SCAN_SECONDS = 1.5
_TIMEOUTS = Timeouts(connect=2.0, answer=4.0)
_PORTS = (8188, 8000)
"""Where ComfyUI listens when nobody says otherwise: by itself, and as the desktop application."""
_HERE = "127.0.0.1"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45}")


@dataclass(frozen=True, slots=True)
class Found:
    """What answers at ``url``. ``kind`` is `comfyui`, the dialect of an LLM server, or None for one that does not say;
    ``title`` and ``version`` are for people. ``models`` is how many it offers, None where it does not tell.
    ``problem`` is why it is of no use as it is, "" when it is."""

    url: str
    kind: str | None
    title: str
    version: str = ""
    models: int | None = None
    problem: str = ""

    @property
    def is_llm(self) -> bool:
        return self.kind != "comfyui"

    @property
    def name(self) -> str:
        """What it could be called in the settings."""
        return (self.kind or "server").replace(".", "-")


async def found_at(url: str, *, key_env: str | None = None) -> Found:
    """What answers there; ``key_env`` names the variable with the key of an LLM server, which is sent to nothing that
    says it is something else. Takes a few seconds at most.

    Raises:
        InvalidParameter: that is no address.
        BackendUnavailable: nothing answers, or nothing that we know.
    """
    try:
        endpoint = Endpoint("this address", url.strip().rstrip("/"), key_env=key_env)
    except BridgeError as failure:
        raise InvalidParameter("url", "That is no address.", hint=failure.hint) from failure
    with anyio.move_on_after(_SECONDS):
        return await _comfyui_at(endpoint.url) or await _llm_server_at(endpoint)
    raise BackendUnavailable("What answers there takes too long.", hint="Look at its log, then try again.")


async def found_here(host: str = "") -> list[Found]:
    """The ComfyUIs and LLM servers at the usual ports of this machine, or of ``host``. Takes two seconds at most.

    Raises:
        InvalidParameter: that can be no host.
    """
    host = host.strip() or _HERE
    if not _HOST.fullmatch(host):
        raise InvalidParameter("host", "That is no name of a machine.", hint="Example: 192.168.1.20")
    comfyuis = list[Found]()
    servers = list[Found]()

    async def ask(port: int) -> None:
        with anyio.move_on_after(_SCAN_SECONDS):
            shown = f"[{host}]" if ":" in host else host
            comfyuis.extend([each] if (each := await _comfyui_at(f"http://{shown}:{port}")) else ())

    async def look() -> None:
        servers.extend(await _llm_servers(host))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        for port in _PORTS:
            tasks.start_soon(ask, port)
    taken = {each.url for each in comfyuis}
    return [*sorted(comfyuis, key=lambda each: each.url), *(each for each in servers if each.url not in taken)]


async def _llm_servers(host: str) -> Sequence[Found]:
    found = await scan(hosts=(host,))
    return [
        Found(each.url, each.kind, each.title, "", len(each.models) if not each.problem else None, each.problem)
        for each in found
        # A workbench, perhaps ourselves, is no server of models: a chat could wait for itself.
        if each.kind is None or not dialect_named(each.kind).queues
    ]


async def _comfyui_at(url: str) -> Found | None:
    try:
        async with ComfyUI(url) as client:
            stats: Any = await client.system_stats()
    except WorkbenchError:
        return None
    system: Any = cast("dict[str, Any]", stats).get("system") if isinstance(stats, dict) else None
    if not isinstance(system, dict) or "devices" not in stats:
        return None
    told = cast("dict[str, Any]", system)
    title = f"ComfyUI ({told['engine']})" if told.get("engine") else "ComfyUI"
    return Found(url, "comfyui", title[:64], str(told.get("comfyui_version") or "")[:32])


async def _llm_server_at(endpoint: Endpoint) -> Found:
    try:
        endpoint = replace(endpoint, kind=await _kind_without_key(endpoint))
        async with Client.open(endpoint, timeouts=_TIMEOUTS) as client:
            dialect = await client.dialect()
            if dialect.queues:
                hint = "Name the LLM servers behind it."
                raise BackendUnavailable("What answers there is a workbench, and could wait for itself.", hint=hint)
            models = await client.models()
    except BridgeError as failure:
        raise _unusable(failure) from failure
    return Found(endpoint.url, dialect.kind, dialect.title, "", len(models))


async def _kind_without_key(endpoint: Endpoint) -> str | None:
    """The dialect, found out before anything secret is sent; None for what wants the key first."""
    async with Transport.open(replace(endpoint, key_env=None), _TIMEOUTS) as transport:
        try:
            return (await detect(transport)).kind
        except KeyRefused:
            if endpoint.key_env is None:
                raise
            return None


def _unusable(failure: BridgeError) -> WorkbenchError:
    told = translated(failure)
    return BackendUnavailable(told.message, hint=told.hint or "Is it running, and is that its address?")
